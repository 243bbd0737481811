"""A visitor's form becomes a row: the limit per visitor, the idempotency key and the insert are one transaction."""
import hmac
from dataclasses import dataclass
from hashlib import sha256
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
    request_id: str | None = None


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
        used = Submission.select().where(_is_by(settings, arrival.cookie_id)).count()
        if used >= settings.form_submit_retry:
            raise LimitReached(used, settings.form_submit_retry)
        _insert(arrival)
        if idempotency is not None:
            _remember(idempotency, answer)
    return answer


def hashed_cookie(settings: Settings, cookie_id: str) -> str:
    """What stays of a cookie id once its song's data are gone."""
    return hmac.new(settings.secret_key.encode(), cookie_id.encode(), sha256).hexdigest()


def _is_by(settings: Settings, cookie_id: str) -> Any:
    """A visitor's songs; of those already deleted the ones that else would still be there: deleting buys no new ones."""
    oldest = later(database.now(), -settings.file_retention_days * 24 * 3600)
    deleted = (Submission.cookie_id == hashed_cookie(settings, cookie_id)) & (Submission.created_at > oldest)
    return (Submission.cookie_id == cookie_id) | deleted


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
