"""The operator's list: what it may be filtered by, and the queries behind it.

Filters, order and count come from one index (submissions_desk) and read no row; then the page's rows are read by their ids.
Beginnings of names and ids have indexes of their own on PostgreSQL.
"""
import functools
import operator
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self, TypeVar
from urllib.parse import urlencode

from peewee import SQL, NodeList, Value, fn
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from petsong.lifecycle.stages import Stage
from petsong.models import Submission

STATUSES = ("pending", "processing", "success", "fail")
Status = Literal["pending", "processing", "success", "fail"]
MAX_PAGE_SIZE = 200
CHUNK = 1000  # rows of an export that are read at once
MESSAGES = {
    "status": f"Must be one of: {', '.join(STATUSES)}",
    "stage": f"Must be one of: {', '.join(Stage)}",
    "reason": "A reason's code, such as download_cut: small letters, digits and _",
    "campaign": "A campaign's name, at most 100 characters",
    "from_date": "A day such as 2027-02-14, or an instant such as 2027-02-14T09:00:00Z",
    "to_date": "A day such as 2027-02-14, or an instant such as 2027-02-14T09:00:00Z, not before from_date",
    "prefix": "The beginning of an id or of a pet's name, at most 100 characters",
    "page": "A whole number from 1",
    "page_size": f"A whole number from 1 to {MAX_PAGE_SIZE}",
}


class WrongParameters(Exception):
    def __init__(self, fields: dict[str, str]) -> None:
        super().__init__(f"{', '.join(fields)}: wrong")
        self.fields = fields


def _instant(text: str) -> datetime:
    """Raises ValueError."""
    moment = datetime.fromisoformat(text.strip())
    if not 2000 <= moment.year <= 2200:
        raise ValueError("not in our time")
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _end(text: str) -> datetime:
    """Just after: of a day, the next one's beginning."""
    return _instant(text) + (timedelta(days=1) if len(text.strip()) <= len("2027-02-14") else timedelta(seconds=1))


def _checked_instant(text: str) -> str:
    _instant(text)
    return text


def _without_nul(text: str) -> str:
    if "\x00" in text:  # no database of ours takes it
        raise ValueError("holds a NUL")
    return text


Day = Annotated[str, AfterValidator(_checked_instant)]
Words = Annotated[str, Field(max_length=100), AfterValidator(_without_nul)]


class Filter(BaseModel):
    """Which submissions; what is empty or left out limits nothing. Days are UTC, both included."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    status: Status | None = None
    stage: Stage | None = None
    reason: str | None = Field(None, pattern="^[a-z0-9_]{1,50}$", description="Why it failed, as a code")
    campaign: Words | None = None
    from_date: Day | None = Field(None, description="Made on this day (UTC) or later", examples=["2027-02-01"])
    to_date: Day | None = Field(None, description="Made on this day (UTC) or earlier", examples=["2027-02-14"])
    prefix: Words | None = Field(None, description="The beginning of an id, or of a pet's name in any case")

    @model_validator(mode="before")
    @classmethod
    def _leave_out_empty(cls, values: Any) -> Any:
        return {name: value for name, value in values.items() if str(value).strip()}

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.from_date and self.to_date and _instant(self.from_date) >= _end(self.to_date):
            raise ValueError("ends before it begins")
        return self

    def as_query(self, **more: Any) -> str:
        """The same as the end of an address."""
        return urlencode({**self.model_dump(mode="json", include=set(Filter.model_fields), exclude_none=True), **more})


class Listing(Filter):
    """A page of them, newest first."""

    page: int = Field(1, ge=1, le=1_000_000)
    page_size: int = Field(50, ge=1, le=MAX_PAGE_SIZE)


Wanted = TypeVar("Wanted", bound=Filter)


def read(kind: type[Wanted], given: Mapping[str, str]) -> Wanted:
    """Of an address's parameters. Raises WrongParameters."""
    try:
        return kind.model_validate(dict(given))
    except ValidationError as error:
        names = {str(found["loc"][0]) if found["loc"] else "to_date" for found in error.errors()}
        raise WrongParameters({name: MESSAGES[name] for name in MESSAGES if name in names}) from None


# ---- queries

def count(wanted: Filter) -> int:
    found: int = _matches(wanted).count()
    return found


def one_page(wanted: Listing, total: int) -> list[Any]:
    """Whole rows of one page of so many in all, newest first."""
    if (wanted.page - 1) * wanted.page_size >= total:
        return []
    ids = _matches(wanted).order_by(*NEWEST_FIRST).paginate(wanted.page, wanted.page_size)
    return _rows([row.session_id for row in ids])


def in_chunks(wanted: Filter) -> Iterator[list[Any]]:
    """Everything, newest first, so many rows at a time; each chunk is a query of its own, which begins where the last ended."""
    after: Any = None
    while True:
        further = [] if after is None else [
            Submission.created_at <= after.created_at,  # where an index can begin
            (Submission.created_at < after.created_at) | (Submission.session_id < after.session_id),
        ]
        ids = _matches(wanted, *further).order_by(*NEWEST_FIRST).limit(CHUNK)
        rows = _rows([row.session_id for row in ids])
        if not rows:
            return
        yield rows
        after = rows[-1]


def _matches(wanted: Filter, *further: Any) -> Any:
    """Ids and times. By a beginning: what each index gives, and no other gave before, all without reading a row."""
    found: Any = Submission.select(Submission.session_id, Submission.created_at).where(*_conditions(wanted), *further)
    if not wanted.prefix:
        return found
    beginnings = _beginnings(wanted.prefix)
    parts = [
        found.where(_like(*beginning), *(_like(*earlier, word="NOT LIKE") for earlier in beginnings[:place]))
        for place, beginning in enumerate(beginnings)
    ]
    return functools.reduce(operator.add, parts)  # UNION ALL


def _beginnings(prefix: str) -> list[tuple[Any, str]]:
    """Of an id; of a name in any case, also where the database knows no small letters but those of ASCII."""
    words = " ".join(unicodedata.normalize("NFC", prefix).split())
    spellings = {words.lower()} if words.isascii() else {words.lower(), words, words.capitalize()}
    return [(Submission.session_id, words), *((fn.LOWER(Submission.pet_name), spelling) for spelling in sorted(spellings))]


NEWEST_FIRST = (SQL("created_at DESC"), SQL("session_id DESC"))
COLUMNS = (
    Submission.session_id, Submission.created_at, Submission.campaign, Submission.entry_status, Submission.stage,
    Submission.stage_since, Submission.fail_reason, Submission.pet_name, Submission.pet_type, Submission.music_vibe,
    Submission.owner_name, Submission.tries, Submission.retry_count, Submission.llm_task_id, Submission.llm_status,
    Submission.sent_to_llm, Submission.received_from_llm, Submission.audio_seconds, Submission.video_creation_start,
    Submission.video_creation_end, Submission.files_removed_at,
)


def _rows(ids: list[str]) -> list[Any]:
    found = {row.session_id: row for row in Submission.select(*COLUMNS).where(Submission.session_id.in_(ids))}
    return [found[session_id] for session_id in ids if session_id in found]


def _conditions(wanted: Filter) -> list[Any]:
    equal = {
        Submission.entry_status: wanted.status, Submission.stage: wanted.stage, Submission.fail_reason: wanted.reason,
        Submission.campaign: wanted.campaign,
    }
    conditions: list[Any] = [field == value for field, value in equal.items() if value is not None]
    if wanted.from_date:
        conditions.append(Submission.created_at >= _instant(wanted.from_date))
    if wanted.to_date:
        conditions.append(Submission.created_at < _end(wanted.to_date))
    return conditions or [SQL("1 = 1")]


def _like(column: Any, beginning: str, word: str = "LIKE") -> Any:
    """In SQL, because the field's own methods compare in another way on each database."""
    pattern = "".join(f"!{letter}" if letter in "!%_" else letter for letter in beginning) + "%"
    return NodeList((SQL("("), column, SQL(word), Value(pattern, converter=False), SQL("ESCAPE '!')")))
