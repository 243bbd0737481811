"""A campaign's look: its colours as a style sheet, and its artwork, under addresses that carry a hash of their content.

`look_url(campaign, "look.css")` → `/look/valentines/look.css?v=0123456789ab`. A style sheet of its own, because the
content policy allows no style in the page.
"""
import hashlib
import re
from pathlib import Path

from flask import Blueprint, Response, abort, current_app, make_response, request, send_file, url_for

from petsong.campaigns.loader import Campaign, CampaignError, load_campaign
from petsong.web.static_files import YEAR, hash_of, static_url

blueprint = Blueprint("looks", __name__)
STYLE = "look.css"
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")  # of a folder that a campaign could have
PICTURES = ("sleeve.svg", "label.svg", "icon.svg", "share.jpg")  # named by what they are, wherever the campaign keeps them


def look_url(campaign: Campaign, name: str) -> str:
    return url_for("looks.look", campaign=campaign.name, name=name, v=_version(campaign, name))


@blueprint.get(f"/look/<campaign>/<any({','.join((STYLE, *PICTURES))}):name>")
def look(campaign: str, name: str) -> Response:
    if not NAME.fullmatch(campaign):
        abort(404)
    try:
        found = load_campaign(campaign)
    except CampaignError:
        abort(404)
    response = _style(found) if name == STYLE else _picture(found, name)
    fresh = request.args.get("v") == _version(found, name)
    response.headers["Cache-Control"] = f"public, max-age={YEAR}, immutable" if fresh else "no-cache"
    return response


def style_of(campaign: Campaign) -> str:
    colours = {name.replace("_", "-"): value for name, value in campaign.colours.items()}
    return current_app.jinja_env.get_template(STYLE).render(colours=colours, static_url=static_url)


def _style(campaign: Campaign) -> Response:
    response = make_response(style_of(campaign))
    response.mimetype = "text/css"
    return response


def _picture(campaign: Campaign, name: str) -> Response:
    path = _path(campaign, name)
    if not path.is_file():
        abort(404)
    return send_file(path, mimetype="image/svg+xml" if name.endswith(".svg") else "image/jpeg")


def _path(campaign: Campaign, name: str) -> Path:
    path: Path = getattr(campaign.artwork, name.partition(".")[0])
    return path


def _version(campaign: Campaign, name: str) -> str:
    if name == STYLE:
        return hashlib.sha256(style_of(campaign).encode()).hexdigest()[:12]
    return hash_of(str(_path(campaign, name)))
