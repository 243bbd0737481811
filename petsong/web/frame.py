"""What every page needs: whose look and whose language it has, its link preview, its headers."""
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from flask import Response, g, make_response, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from petsong.campaigns.loader import Campaign
from petsong.web import languages
from petsong.web.extension import parts
from petsong.web.looks import look_url
from petsong.web.static_files import static_url


@dataclass(frozen=True)
class Preview:
    """What a link looks like elsewhere; addresses are absolute, the image is 1200x630."""

    url: str
    title: str
    description: str
    image: str
    image_alt: str
    type: str = "website"


class Frame:
    """The campaign of the song that this page is about, else the present one, in the visitor's language."""

    def __init__(self) -> None:
        own: Campaign = g.get("campaign") or parts().campaign
        self.language = languages.language_for(own)
        self.campaign = languages.in_language(own, self.language)

    @cached_property
    def texts(self) -> dict[str, Any]:
        return languages.texts_in(self.language)

    @cached_property
    def words(self) -> dict[str, str]:
        """The campaign's own copy over the neutral one."""
        return {**self.texts["campaign"], **self.campaign.copy}

    def script_texts(self, page: str) -> dict[str, Any]:
        """What the scripts of a page show."""
        return {**self.texts["script"], **self.texts[f"script_{page}"]}

    def look(self, name: str) -> str:
        return look_url(self.campaign, name)

    def preview(self, address: str) -> Preview:
        campaign = self.campaign
        return Preview(address, campaign.title, campaign.description, self.share_picture(None), image_alt=campaign.title)

    def share_picture(self, session_id: str | None) -> str:
        """Of this song, else the campaign's own."""
        return site() + (f"/storage/preview/{session_id}.jpg" if session_id else self.look("share.jpg"))


def everywhere() -> dict[str, Any]:
    """For every template, also where an error handler renders it."""
    frame = Frame()
    return {
        "campaign": frame.campaign, "words": frame.words, "t": frame.texts, "language": frame.language,
        "look": frame.look, "static_url": static_url, "switches": switches(frame), "fill": languages.fill,
    }


def switches(frame: Frame) -> list[dict[str, str]]:
    """The same page in the campaign's other languages."""
    return [
        {"language": code, "name": languages.texts_in(code)["language"]["name"], "href": f"?{languages.PARAMETER}={code}"}
        for code in frame.campaign.languages if code != frame.language
    ]


def alternates(frame: Frame, endpoint: str) -> list[tuple[str, str]]:
    """(language, absolute address) of a page that search engines may list; x-default follows the browser."""
    found = [(code, site() + url_for(endpoint, lang=code)) for code in frame.campaign.languages]
    return [*found, ("x-default", site() + url_for(endpoint, lang=None))]


def site() -> str:
    """Our address for visitors, without a final slash: the setting, else as this request names us."""
    return parts().settings.site_url or request.url_root.rstrip("/")


def chosen() -> str:
    """What scripts put behind addresses that they make: the language of this page's link, or nothing."""
    language = languages.asked_for(parts().campaign)
    return f"?{languages.PARAMETER}={language}" if language else ""


def page(template: str, status: int = 200, **values: Any) -> Response:
    response = make_response(render_template(template, **values), status)
    response.headers["Cache-Control"] = "no-cache"
    return response


def private(response: AnyResponse) -> AnyResponse:
    """Public by link only: no search engine, and the link does not travel on with a click."""
    response.headers["X-Robots-Tag"] = "noindex"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "private, no-cache"
    return response
