"""A visitor's form becomes a row: the limit per visitor, the idempotency key and the insert are one transaction."""
from dataclasses import dataclass
from typing import Any

from petsong import database
from petsong.lifecycle.claims import Claim, later, record_event
from petsong.lifecycle.stages import ENTRY_STATUS, Stage
from petsong.models import IdempotencyKey, Submission
from petsong.settings import Settings

KEY_SECONDS = 24 * 3600


class LimitReached(Exception):
    def __init__(self, used: int, limit: int) -> None:
        super().__init__(f"{used} of {limit} submissions used")
        self.used, self.limit = used, limit


class KeyMismatch(Exception):
    """The same idempotency key came with another body."""


@dataclass(frozen=True)
class Arrival:
    session_id: str
    cookie_id: str
    campaign: str
    owner_name: str
    pet_name: str
    pet_type: str
    music_vibe: str
    photo_path: str
    owner_name_said: str = ""
    pet_name_said: str = ""


@dataclass(frozen=True)
class Idempotency:
    key: str
    body_hash: str


def earlier_answer(idempotency: Idempotency) -> Any:
    """What the first request with this key was answered, or None. Raises KeyMismatch."""
    oldest = later(database.now(), -KEY_SECONDS)
    known = IdempotencyKey.get_or_none(IdempotencyKey.key == idempotency.key, IdempotencyKey.created_at > oldest)
    if known is None:
        return None
    if known.body_hash != idempotency.body_hash:
        raise KeyMismatch
    return known.answer


def accept(settings: Settings, arrival: Arrival, answer: dict[str, Any], idempotency: Idempotency | None) -> Any:
    """Insert the row; returns the answer to give, which is an earlier one where the key was used meanwhile.

    Raises LimitReached, KeyMismatch. Counting and inserting happen under one lock per visitor.
    """
    names = [f"cookie:{arrival.cookie_id}"] + ([f"key:{idempotency.key}"] if idempotency else [])
    with database.lock(names[-1]), database.lock(names[0]):
        if idempotency is not None:
            earlier = earlier_answer(idempotency)
            if earlier is not None:
                return earlier
        used = Submission.select().where(Submission.cookie_id == arrival.cookie_id).count()
        if used >= settings.form_submit_retry:
            raise LimitReached(used, settings.form_submit_retry)
        _insert(arrival)
        if idempotency is not None:
            _remember(idempotency, answer)
    return answer


def _insert(arrival: Arrival) -> None:
    moment = database.now()
    Submission.insert(
        **vars(arrival), created_at=moment, stage_since=moment, life_since=moment, next_check_at=moment,
        stage=Stage.QUEUED, entry_status=ENTRY_STATUS[Stage.QUEUED],
    ).execute()
    record_event(Claim(arrival.session_id, Stage.QUEUED, 0, 0, 0), Stage.QUEUED, moment, reason="submitted")


def _remember(idempotency: Idempotency, answer: dict[str, Any]) -> None:
    IdempotencyKey.delete().where(IdempotencyKey.key == idempotency.key).execute()  # one older than a day
    IdempotencyKey.insert(
        key=idempotency.key, body_hash=idempotency.body_hash, answer=answer, created_at=database.now()
    ).execute()
