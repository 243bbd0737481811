"""What the desk's API takes and gives, as models: the documentation is made from them."""
from typing import Any, Literal

from pydantic import BaseModel, Field

from petsong.erasure import Receipt
from petsong.schemas import EntryStatus, Moment, SessionId
from petsong.web.desk.actions import Estimate, Outcome


class Summary(BaseModel):
    """A submission in a few words"""

    session_id: SessionId
    created_at: Moment
    campaign: str
    status: EntryStatus
    stage: str = Field(examples=["generating"])
    stage_since: Moment
    reason: str | None = Field(description="Why it failed, as a code")
    pet_name: str = Field(description="Empty once its data are gone", examples=["Biscuit"])
    pet_type: str
    music_vibe: str
    owner_name: str = Field(description="Empty once its data are gone", examples=["Marisol"])
    erased: bool = Field(description="Its files and personal data are gone")


class SubmissionsPage(BaseModel):
    """A page of submissions, newest first"""

    submissions: list[Summary]
    page: int
    page_size: int
    total: int
    total_pages: int


class Details(BaseModel):
    """Everything about one submission"""

    submission: dict[str, Any] = Field(description="Where it is and what it waits for")
    person: dict[str, Any] = Field(description="Names, choices, lyrics; empty once they are gone")
    sending_paused: dict[str, Any] | None
    attempts: list[dict[str, Any]] = Field(description="Orders at the song service")
    webhook_receipts: list[dict[str, Any]]
    files: list[dict[str, Any]]
    events: list[dict[str, Any]] = Field(description="Every move, with its reason and its error's own words")
    service_answer: Any = Field(description="As the song service gave it")
    actions: list[str] = Field(description="What makes sense now: retry, cancel, delete, rerender")


class ActionDone(BaseModel):
    """Done, now or earlier"""

    success: Literal[True] = True
    session_id: SessionId
    changed: bool = Field(description="False where it had happened before")
    stage: str
    message: str

    @classmethod
    def of(cls, outcome: Outcome) -> "ActionDone":
        return cls(
            session_id=outcome.session_id, changed=outcome.changed, stage=outcome.stage, message=outcome.message
        )


class ReceiptAnswer(BaseModel):
    """What was removed"""

    session_id: SessionId
    erased_at: Moment
    already: bool = Field(description="Its data had gone before")
    files: int = Field(description="Removed by this call")
    messages: int | None = Field(description="Removed from Redis by this call; null while Redis is away")

    @classmethod
    def of(cls, receipt: Receipt) -> "ReceiptAnswer":
        return cls.model_validate(vars(receipt))


class Erased(BaseModel):
    """What was removed, song by song"""

    success: Literal[True] = True
    receipts: list[ReceiptAnswer]


class Reason(BaseModel):
    """Of a failure"""

    reason: str = Field(pattern="^[a-z0-9_]{1,50}$", description="As a code", examples=["service_failed"])


class RetryCost(BaseModel):
    """What retrying all of one reason may cost"""

    reason: str
    submissions: int = Field(description="Failed for it, and can be retried")
    pays: int = Field(description="Order a new song")
    may_pay: int = Field(description="Ask about an old order first, and order a new song where that brings none")
    free: int
    least_credits: int
    most_credits: int

    @classmethod
    def of(cls, reason: str, found: Estimate) -> "RetryCost":
        return cls(
            reason=reason, submissions=len(found.session_ids), pays=found.pays, may_pay=found.may_pay, free=found.free,
            least_credits=found.least_credits, most_credits=found.most_credits,
        )


class RetryAll(Reason):
    """All of one reason, for at most so many credits"""

    most_credits: int = Field(ge=0, le=1_000_000_000, description="most_credits of GET /api/admin/retry-all", examples=[1200])


class RetriedAll(BaseModel):
    """How many go on"""

    success: Literal[True] = True
    reason: str
    retried: int
    remaining: int = Field(description="Not yet, as one call retries 500 at most: ask and agree again")


class Whose(BaseModel):
    """Either a song or a visitor"""

    session_id: str | None = Field(None, max_length=255)
    cookie_id: str | None = Field(None, max_length=255)


class Orphans(BaseModel):
    """Files and rows that miss each other, at most 1000 of each"""

    files_without_row: list[str] = Field(description="Older than an hour; removed by the hourly clean-up")
    rows_without_file: list[dict[str, str]] = Field(description="session_id and key")
