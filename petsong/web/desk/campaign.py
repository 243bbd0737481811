"""The campaign's switch: open, closed with a message, by the clock, with a cap; /admin/campaign and /api/admin/campaign."""
from collections.abc import Callable
from typing import Any

from flask import Response, jsonify, redirect, render_template, request, url_for
from pydantic import BaseModel, ValidationError
from werkzeug.wrappers import Response as AnyResponse

from petsong import audit, database, limits, switch
from petsong.campaigns.loader import Campaign
from petsong.moments import MomentError, local_text, parse_moment, zone_names
from petsong.openapi import documented
from petsong.overview import counted_songs
from petsong.schemas import messages_of
from petsong.web.bodies import json_object, read_json_body
from petsong.web.desk.answers import CampaignDone, CampaignState, CapBody, CloseBody, ScheduleBody
from petsong.web.desk.guard import desk_api, desk_blueprint, operator_name
from petsong.web.desk.words import teach
from petsong.web.errors import validation_failed
from petsong.web.extension import Parts, parts

MOST_BYTES = 16 * 1024
REFUSALS = ("validation_failed", "unsupported_media_type")
FIELDS = ("opens_at", "closes_at", "zone", "message", "cap")
ACTIONS = ("campaign_opened", "campaign_closed", "campaign_scheduled", "campaign_capped", "campaign_follows_file")

pages = desk_blueprint("campaign")
api = desk_api("campaign")
blueprints = (pages, api)
teach(pages)


def state_of(
    name: str, standing: switch.Standing, songs: int | None, not_for_sale: tuple[str, str] | None
) -> CampaignState:
    over, now = standing.override, standing.opening
    return CampaignState(
        name=name, open=standing.is_open, for_sale=not_for_sale is None, reason=not_for_sale[0] if not_for_sale else None,
        message=not_for_sale[1] if not_for_sale else "", mode=over.mode, words=standing.words, opens_at=now.opens_at,
        closes_at=now.closes_at, zone=over.zone, cap=now.cap, songs=songs,
    )


def present_state(shared: Parts) -> CampaignState:
    standing = switch.standing(shared.campaign, database.now())
    closed = limits.closing_reason(shared.settings, shared.campaign)
    return state_of(shared.campaign.name, standing, counted_songs(standing, shared.campaign), closed)


def by_clock(campaign: Campaign, who: str, *, opens_at: str, closes_at: str, zone: str, message: str) -> bool:
    """Raises MomentError, SwitchError."""
    opens, closes = (parse_moment(text, zone) if text.strip() else None for text in (opens_at, closes_at))
    return switch.schedule(campaign, opens, closes, zone, message, who=who)


def woken(shared: Parts, changed: bool) -> bool:
    """What waits may go out at once."""
    if changed:
        shared.queues.enqueue("process_pending_queue")
    return changed


# ---- the page

@pages.get("/campaign")
def campaign() -> str:
    return _page()


def _page(problem: str = "", **given: str) -> str:
    shared = parts()
    over = switch.override_of(shared.campaign)
    values = {
        "opens_at": local_text(over.opens_at, over.zone) if over.opens_at else "",
        "closes_at": local_text(over.closes_at, over.zone) if over.closes_at else "",
        "zone": over.zone, "message": over.message, "cap": "" if over.cap is None else str(over.cap), **given,
    }
    return render_template(
        "admin/campaign.html", state=present_state(shared), file=shared.campaign.opening, over=over, values=values,
        zones=zone_names(), problem=problem, actions=audit.latest(20, actions=ACTIONS), now=database.now(),
    )


@pages.post("/campaign/open")
def open_page() -> AnyResponse:
    return _done(lambda: switch.open_now(parts().campaign, who=operator_name()))


@pages.post("/campaign/close")
def close_page() -> AnyResponse:
    return _done(lambda: switch.close(parts().campaign, request.form.get("message", ""), who=operator_name()))


@pages.post("/campaign/schedule")
def schedule_page() -> AnyResponse:
    fields = {name: request.form.get(name, "") for name in ("opens_at", "closes_at", "zone", "message")}
    return _done(lambda: by_clock(parts().campaign, operator_name(), **fields))


@pages.post("/campaign/cap")
def cap_page() -> AnyResponse:
    return _done(lambda: switch.set_cap(parts().campaign, _songs(request.form.get("cap", "")), who=operator_name()))


@pages.post("/campaign/file")
def file_page() -> AnyResponse:
    return _done(lambda: switch.follow_file(parts().campaign, who=operator_name()))


def _songs(text: str) -> int | None:
    """Raises SwitchError."""
    if not text.strip():
        return None
    if not text.strip().isdecimal() or len(text.strip()) > 8:
        raise switch.SwitchError("The cap is a number of songs such as 5000; leave it empty for any number.")
    return int(text)


def _done(action: Callable[[], bool]) -> AnyResponse:
    """Back to the page; what cannot be done is said there, with what was typed still in the fields."""
    try:
        woken(parts(), action())
    except (switch.SwitchError, MomentError) as error:
        given = {name: text for name, text in request.form.items() if name in FIELDS}
        return Response(_page(str(error), **given), status=400, mimetype="text/html")
    return redirect(url_for(".campaign"), 303)


# ---- the API

@api.get("/campaign")
@documented("The campaign's switch", tag="Operator", login=True, answers={200: CampaignState})
def campaign_json() -> Response:
    return jsonify(present_state(parts()).model_dump(mode="json"))


@api.post("/campaign/open")
@documented("Open the campaign now", tag="Operator", login=True, answers={200: CampaignDone}, errors=REFUSALS,
            details="Whatever the times are, until something else is set.")
def open_json() -> Response:
    return _answer(switch.open_now(parts().campaign, who=operator_name()))


@api.post("/campaign/close")
@documented(
    "Close the campaign now", tag="Operator", login=True, request=CloseBody, answers={200: CampaignDone}, errors=REFUSALS,
)
def close_json() -> Response:
    body = read_body(CloseBody)
    return _answer(_tried(lambda: switch.close(parts().campaign, body.message, who=operator_name())))


@api.post("/campaign/schedule")
@documented(
    "Open and close by the clock", tag="Operator", login=True, request=ScheduleBody, answers={200: CampaignDone},
    errors=REFUSALS, details="Times on the clocks of the zone, or with an offset of their own. An hour that the clocks skip "
    "or show twice is refused.",
)
def schedule_json() -> Response:
    body = read_body(ScheduleBody)
    return _answer(_tried(lambda: by_clock(parts().campaign, operator_name(), **body.model_dump())))


@api.post("/campaign/cap")
@documented(
    "Limit the number of songs", tag="Operator", login=True, request=CapBody, answers={200: CampaignDone}, errors=REFUSALS,
)
def cap_json() -> Response:
    body = read_body(CapBody)
    return _answer(_tried(lambda: switch.set_cap(parts().campaign, body.songs, who=operator_name())))


@api.post("/campaign/file")
@documented("Follow the campaign's file again", tag="Operator", login=True, answers={200: CampaignDone}, errors=REFUSALS)
def file_json() -> Response:
    return _answer(switch.follow_file(parts().campaign, who=operator_name()))


def read_body(kind: type[BaseModel]) -> Any:
    """Raises ApiError."""
    try:
        return kind.model_validate(json_object(read_json_body(MOST_BYTES)))
    except ValidationError as error:
        fields = messages_of(error.errors(include_url=False, include_context=False, include_input=False))
        raise validation_failed(next(iter(fields.values())), fields) from None


def _tried(action: Callable[[], bool]) -> bool:
    try:
        return action()
    except (switch.SwitchError, MomentError) as error:
        raise validation_failed(str(error)) from error


def _answer(changed: bool) -> Response:
    shared = parts()
    woken(shared, changed)
    return jsonify(CampaignDone(changed=changed, campaign=present_state(shared)).model_dump(mode="json"))
