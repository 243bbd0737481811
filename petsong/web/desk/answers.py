"""What the desk's API says about the house, its credits and the campaign's switch."""
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from petsong.schemas import Moment


class _Part(BaseModel):
    model_config = ConfigDict(from_attributes=True)


# ---- overview

class StageFigures(_Part):
    stage: str = Field(examples=["rendering"])
    songs: int
    oldest_since: Moment | None
    median_seconds: float | None = Field(description="Of the newest finished songs.", examples=[2.4])
    p95_seconds: float | None


class PeriodFigures(_Part):
    name: str = Field(examples=["24 h"])
    ends: Moment
    part_seconds: int
    arrived: list[int] = Field(description="In equal parts, oldest first.")
    succeeded: list[int]
    failed: list[int]


class PoolFigures(_Part):
    name: str
    last_sign_seconds: float
    alive: bool
    queues: dict[str, int]


class FailureFigures(_Part):
    reason: str = Field(examples=["service_failed"])
    songs: int
    last_at: Moment
    session_id: str = Field(description="The last one.")


class PauseFigures(_Part):
    since: Moment
    until: Moment = Field(description="The next try.")
    reason: str


class BalanceFigures(_Part):
    usable: int | None
    read_at: Moment | None
    fresh: bool


class PaceFigures(_Part):
    last_hour: int = Field(description="Credits of songs that were paid.")
    last_day: int
    per_hour: float
    runs_out_at: Moment | None


class WindowFigures(_Part):
    name: Literal["hour", "day"]
    limit: int = Field(description="Credits; 0: none.")
    spent: int
    songs_left: int | None
    reopens_at: Moment | None


class SpendingFigures(_Part):
    windows: list[WindowFigures]
    stopped: bool
    songs_left: int | None
    lifted_until: Moment | None = Field(description="By an operator.")
    reopens_at: Moment | None


class CampaignState(BaseModel):
    """The campaign's switch"""

    name: str = Field(examples=["valentines"])
    open: bool = Field(description="By switch and times; cap and credits may still stop sales.")
    for_sale: bool
    reason: str | None = Field(description="Why nothing is sold.", examples=["sold_out"])
    message: str = Field(description="For visitors, while nothing is sold.")
    mode: Literal["file", "open", "closed", "schedule"]
    words: str = Field(examples=["Open until 14 February 2027, 18:00 (Europe/Berlin)."])
    opens_at: Moment | None
    closes_at: Moment | None
    zone: str = Field(examples=["Europe/Berlin"])
    cap: int | None = Field(description="Songs in all; null: any number.")
    songs: int | None = Field(description="Songs that count towards the cap; null where there is none.")


class AlertFigures(_Part):
    key: str
    severity: str
    text: str
    since: Moment


class OverviewAnswer(_Part):
    """Everything at once, a few seconds old"""

    taken_at: Moment
    age_seconds: float
    stages: list[StageFigures]
    sample_songs: int = Field(description="Finished songs of which medians are made.")
    periods: list[PeriodFigures]
    slots_used: int
    slots: int
    balance: BalanceFigures
    pace: PaceFigures
    spending: SpendingFigures
    sending_paused: PauseFigures | None
    spending_paused: PauseFigures | None
    campaign: CampaignState
    pools: list[PoolFigures]
    scheduler_seconds: float | None
    queue_depths: dict[str, int | None]
    disk_percent: float | None
    failures: list[FailureFigures]
    alerts: list[AlertFigures]


# ---- credits

class LedgerQuery(BaseModel):
    page: int = Field(1, ge=1, le=1_000_000)
    page_size: int = Field(50, ge=1, le=500)


class LedgerEntry(_Part):
    at: Moment
    usable: int | None
    change: int | None
    songs: int = Field(description="Orders that ended as songs since the reading before.")
    paid: int = Field(description="Their credits.")
    others: int = Field(description="Orders that ended otherwise.")
    unexplained: int | None = Field(description="Credits gone for which there is no order.")


class CreditsAnswer(BaseModel):
    """The ledger"""

    balance: BalanceFigures
    pace: PaceFigures
    spending: SpendingFigures
    readings: list[LedgerEntry]
    page: int
    page_size: int
    total: int
    total_pages: int


class LiftBody(BaseModel):
    """Let orders go out beyond the spending limits."""

    minutes: float = Field(gt=0, le=7 * 24 * 60, allow_inf_nan=False, strict=True, examples=[60])


# ---- campaign

class CloseBody(BaseModel):
    """Close the campaign."""

    message: str = Field("", max_length=300, description="For visitors; empty: the campaign's own.", examples=["Back at noon."])


class ScheduleBody(BaseModel):
    """Open and close by the clock."""

    opens_at: str = Field("", max_length=40, examples=["2027-02-01T09:00"])
    closes_at: str = Field("", max_length=40, examples=["2027-02-14T23:59"])
    zone: str = Field(max_length=64, examples=["Europe/Berlin"])
    message: str = Field("", max_length=300)


class CapBody(BaseModel):
    """Limit the number of songs."""

    songs: int | None = Field(ge=0, le=10_000_000, strict=True, description="null: any number.", examples=[5000])


class ChangeDone(BaseModel):
    """Whether something changed, and how it is now"""

    success: Literal[True] = True
    changed: bool


class SpendingDone(ChangeDone):
    """How the spending limits are now"""

    spending: SpendingFigures


class CampaignDone(ChangeDone):
    """How the campaign's switch is now"""

    campaign: CampaignState


def as_json(kind: type[BaseModel], value: Any, **more: Any) -> dict[str, Any]:
    """`value`, a dataclass, as JSON of that model; `more` stands for what it lacks."""
    fields = {name: getattr(value, name) for name in kind.model_fields if name not in more}
    return kind.model_validate({**fields, **more}, from_attributes=True).model_dump(mode="json")
