"""gzip for the texts of the site: pages, style sheets, scripts, drawings. Pictures and videos are small already.

Not for /admin and /api: what is secret in an answer must not show in its length beside what a stranger chose.
"""
import gzip
from functools import lru_cache

from flask import Response, request

TEXTS = frozenset({"text/html", "text/css", "text/javascript", "image/svg+xml", "text/vtt"})
LEAST_BYTES = 1024
FILES = ("static", "looks.look")
SECRETIVE = ("/admin", "/api/")


def compress(response: Response) -> Response:
    """For after_request."""
    if response.mimetype not in TEXTS or request.path.startswith(SECRETIVE):
        return response
    response.vary.add("Accept-Encoding")
    if not _wanted(response):
        return response
    response.direct_passthrough = False
    body = response.get_data()
    if len(body) < LEAST_BYTES:
        return response
    # What tells of a song is not kept: it must be gone when the song is erased.
    response.set_data(_packed(body) if request.endpoint in FILES else gzip.compress(body, 6, mtime=0))
    response.headers["Content-Encoding"] = "gzip"
    _tag_apart(response)
    return response


def _wanted(response: Response) -> bool:
    fitting = request.method == "GET" and response.status_code != 304 and "Content-Range" not in response.headers
    return fitting and "Content-Encoding" not in response.headers and request.accept_encodings.quality("gzip") > 0


@lru_cache(maxsize=64)
def _packed(body: bytes) -> bytes:
    """Files that hardly change are packed once, as tightly as it goes."""
    return gzip.compress(body, 9, mtime=0)


def _tag_apart(response: Response) -> None:
    """The packed file is another representation: a tag of its own, by which it is revalidated."""
    tag, _ = response.get_etag()
    if tag:
        response.set_etag(f"{tag}-gzip")
        response.make_conditional(request)
