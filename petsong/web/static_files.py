"""Addresses of static files that carry a hash of their content, so that browsers may keep them for a year.

`static_url("css/base.css")` → `/static/css/base.css?v=0123456789ab`. A request whose `v` is the file's present hash is
answered as immutable; any other one (an old page, a guess) is revalidated. Style sheets here refer to no other file; the
fonts are named by the campaign's style sheet, which is made with their hashes (petsong/web/looks.py).
"""
import hashlib
from functools import lru_cache
from pathlib import Path

from flask import Flask, Response, current_app, request, url_for
from werkzeug.utils import safe_join

YEAR = 365 * 24 * 3600


def static_url(name: str) -> str:
    """The address of `name` below the static folder; without a hash where the file is missing (it will answer 404)."""
    return url_for("static", filename=name, v=content_hash(current_app, name) or None)


def content_hash(app: Flask, name: str) -> str:
    """Twelve hex digits, or "" where there is no such file."""
    path = safe_join(app.static_folder or "", name)
    return hash_of(path) if path else ""


def hash_of(path: str) -> str:
    """Twelve hex digits of a file's content, or "" where there is none."""
    try:
        found = Path(path).stat()
        return _hash_of(path, found.st_mtime_ns, found.st_size)
    except OSError:
        return ""


@lru_cache(maxsize=256)
def _hash_of(path: str, _modified: int, _size: int) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12]


def cache_for_a_year(response: Response) -> Response:
    """For after_request: static answers whose address names their content never change."""
    wanted = request.args.get("v", "")
    if request.endpoint == "static" and response.status_code in (200, 206, 304) and wanted:
        name = (request.view_args or {}).get("filename", "")
        if wanted == content_hash(current_app, name):
            response.headers["Cache-Control"] = f"public, max-age={YEAR}, immutable"
    return response
