"""The campaign's switch: what its file says about opening, cap and closing, and what an operator says over it.

One row for each campaign, read with each question, so that every process follows at once.
"""
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Literal

from petsong import audit, database
from petsong.campaigns.loader import Campaign, Opening
from petsong.models import Switch
from petsong.moments import find_zone, spoken

Mode = Literal["file", "open", "closed", "schedule"]
CLOSED = "This campaign is closed."
MAX_MESSAGE = 300
MAX_CAP = 10_000_000


class SwitchError(ValueError):
    """One line for a person: what cannot be set so, and what can."""


@dataclass(frozen=True)
class Override:
    """What stands over the campaign's file. Times are instants; the zone is the one they were meant and are shown in."""

    mode: Mode = "file"
    message: str = ""  # for visitors, while closed; "": the file's
    opens_at: datetime | None = None
    closes_at: datetime | None = None
    zone: str = "UTC"
    own_cap: bool = False  # whether `cap` replaces the file's
    cap: int | None = None  # songs in all; None: any number


def override_of(campaign: Campaign) -> Override:
    switch = Switch.get_or_none(Switch.name == _name(campaign))
    if switch is None:
        return Override()
    times = {key: switch.value[key] and datetime.fromisoformat(switch.value[key]) for key in ("opens_at", "closes_at")}
    return Override(**{**switch.value, **times})


@dataclass(frozen=True)
class Standing:
    """What holds now, by switch and times; cap and credits are for whoever counts."""

    opening: Opening
    override: Override
    is_open: bool
    message: str  # for visitors, while closed
    announced: datetime | None  # the opening that our own words in `message` tell
    words: str  # for operators


def standing(campaign: Campaign, moment: datetime) -> Standing:
    over = override_of(campaign)
    now = effective(campaign.opening, over)
    words, early = _in_words(now, over.zone, moment), now.open and now.opens_at is not None and moment < now.opens_at
    # The file's words are those of the end.
    announced = now.opens_at if early and not over.message else None
    message = f"Songs can be ordered from {spoken(announced, over.zone)}." if announced else now.message or CLOSED
    return Standing(now, over, now.is_open(moment), message, announced, words)


def effective(file: Opening, over: Override) -> Opening:
    message = over.message or file.message
    cap = over.cap if over.own_cap else file.cap
    if over.mode == "file":
        return file.model_copy(update={"cap": cap})
    if over.mode == "schedule":
        return Opening(open=True, message=message, opens_at=over.opens_at, closes_at=over.closes_at, cap=cap)
    return Opening(open=over.mode == "open", message=message, cap=cap)


# ---- what an operator may set; each returns False where it is so already

def open_now(campaign: Campaign, *, who: str) -> bool:
    """Open whatever the times are, until something else is set."""
    return _set(campaign, who, "campaign_opened", mode="open", message="", opens_at=None, closes_at=None)


def close(campaign: Campaign, message: str, *, who: str) -> bool:
    """Closed until something else is set. Raises SwitchError."""
    detail = f"“{message}”" if message else ""
    return _set(
        campaign, who, "campaign_closed", detail, mode="closed", message=_checked(message), opens_at=None, closes_at=None
    )


def schedule(
    campaign: Campaign, opens_at: datetime | None, closes_at: datetime | None, zone: str, message: str = "", *, who: str
) -> bool:
    """Open between the two; without one of them, from ever or for ever. Raises SwitchError, MomentError."""
    find_zone(zone)
    if opens_at is None and closes_at is None:
        raise SwitchError("Give a time to open, a time to close, or both.")
    if opens_at is not None and closes_at is not None and closes_at <= opens_at:
        raise SwitchError("The campaign must close later than it opens.")
    detail = "; ".join(
        f"{word} {spoken(moment, zone)}" for word, moment in (("opens", opens_at), ("closes", closes_at)) if moment
    )
    return _set(
        campaign, who, "campaign_scheduled", detail, mode="schedule", opens_at=opens_at, closes_at=closes_at, zone=zone,
        message=_checked(message),
    )


def set_cap(campaign: Campaign, songs: int | None, *, who: str) -> bool:
    """So many songs of this campaign in all, failed ones not counted; None: any number. Raises SwitchError."""
    if songs is not None and not 0 <= songs <= MAX_CAP:
        raise SwitchError(f"The cap is a number of songs from 0 to {MAX_CAP}, or none.")
    return _set(campaign, who, "campaign_capped", "no cap" if songs is None else f"{songs} songs", own_cap=True, cap=songs)


def follow_file(campaign: Campaign, *, who: str) -> bool:
    """Everything as campaign.toml says."""
    return _set(campaign, who, "campaign_follows_file", **asdict(Override()))


def _checked(message: str) -> str:
    text = " ".join(message.split())
    if len(text) > MAX_MESSAGE or "\x00" in text:
        raise SwitchError(f"The message for visitors has at most {MAX_MESSAGE} characters.")
    return text


def _set(campaign: Campaign, who: str, action: str, detail: str = "", **changes: Any) -> bool:
    name = _name(campaign)
    with database.lock(f"switch:{name}"):
        before = override_of(campaign)
        after = replace(before, **changes)
        if after == before:
            return False
        value = {key: val.isoformat() if isinstance(val, datetime) else val for key, val in asdict(after).items()}
        Switch.insert(name=name, value=value).on_conflict(
            conflict_target=[Switch.name], update={Switch.value: value}
        ).execute()
        audit.record(who, action, subject=campaign.name, detail=detail)
    return True


def _name(campaign: Campaign) -> str:
    return f"campaign:{campaign.name}"


# ---- in words

def _in_words(now: Opening, zone: str, moment: datetime) -> str:
    opens, closes = now.opens_at, now.closes_at
    if not now.open:
        return "Closed."
    if opens is not None and moment < opens:
        return f"Closed; opens {spoken(opens, zone)}."
    if closes is not None:
        return f"Closed since {spoken(closes, zone)}." if moment >= closes else f"Open until {spoken(closes, zone)}."
    return "Open."
