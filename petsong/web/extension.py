"""What the parts of the web app share, once per app: `parts()` inside a request."""
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from flask import Response, current_app, make_response, render_template
from flask_limiter import Limiter

from petsong.campaigns.loader import Campaign, CampaignError, load_campaign
from petsong.queues import Queues
from petsong.settings import Settings
from petsong.storage import LocalStorage, Storage


@dataclass
class Parts:
    settings: Settings
    queues: Queues
    limiter: Limiter

    @cached_property
    def campaign(self) -> Campaign:
        return load_campaign(self.settings.campaign)

    @cached_property
    def storage(self) -> Storage:
        return make_storage(self.settings)

    def campaign_of(self, row: Any) -> Campaign:
        """The campaign that a song was made in keeps its look; ours where that folder is gone."""
        try:
            return load_campaign(row.campaign)
        except CampaignError:
            return self.campaign

    def seconds_to_reset(self) -> int:
        limit = self.limiter.current_limit
        return max(1, round(limit.reset_at - time.time())) if limit else 60

    def error_page(self, status: int, _message: str = "") -> Response:
        """In the visitor's language, by the status; the message is the API's English."""
        response = make_response(render_template("error.html", status=status), status)
        response.headers["X-Robots-Tag"] = "noindex"
        return response


def make_storage(settings: Settings) -> LocalStorage:
    return LocalStorage({
        "uploads": settings.img_storage, "audio": settings.audio_storage, "video": settings.video_storage,
    })


def parts() -> Parts:
    found: Parts = current_app.extensions["petsong"]
    return found
