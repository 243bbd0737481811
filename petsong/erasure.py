"""A person's data on demand: all that is known of a song, or of a visitor's songs, goes at once; a statistic stays.

1. A song on its way is ended first, so that whoever works on it writes nothing back: every write names the claim.
2. Files, names, lyrics, answers, and what else tells of the song in the database, go in one transaction.
3. Then its messages in Redis, and files that no row names any more.
A file that a frozen worker writes even later has no row, and goes with the other orphans. What renderers keep of a photo
beside the storage goes by age, within two hours.
"""
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from rq.exceptions import NoSuchJobError
from rq.job import Job, JobStatus
from rq.results import Result
from rq.serializers import JSONSerializer

from petsong import database
from petsong.database import db
from petsong.lifecycle.arrival import hashed_cookie
from petsong.lifecycle.cancelling import stop
from petsong.lifecycle.stages import DELETED
from petsong.models import Event, IdempotencyKey, OutboxMessage, Submission, find_submission
from petsong.queues import Queues
from petsong.retention import forget, keys_of
from petsong.settings import Settings
from petsong.storage import Storage

log = logging.getLogger(__name__)
FOLDERS = ("uploads", "audio", "video")


@dataclass(frozen=True)
class Receipt:
    """What was done about one song."""

    session_id: str
    erased_at: datetime
    already: bool  # its data had gone before: by an earlier call, or by age
    files: int  # removed by this call
    messages: int | None  # removed from Redis by this call; None while Redis is away: they hold ids only and go by age


def erase(settings: Settings, storage: Storage, queues: Queues, session_id: str, *, who: str) -> Receipt | None:
    """Everything personal of one song; None for an unknown id. A repeat is harmless and removes what came late.

    `who` stands in the timeline. Raises OSError where a file cannot be removed: then the database still names it, and a
    repeat goes on.
    """
    row = find_submission(session_id)
    if row is None:
        return None
    with db.atomic():  # kept whatever comes after: no song is bought for a row that loses its files
        if row.files_removed_at is None and row.fail_reason != DELETED:
            _forget_mentions(session_id)
        stop(session_id, DELETED, f"by {who}")  # its event for the agency, which names nobody, still goes out
    with db.atomic():
        # Held first: a retry that came in between has given the row a new life, and none comes any more.
        Submission.update(tries=Submission.tries).where(Submission.session_id == session_id).execute()
        stop(session_id, DELETED, f"by {who}")
        row = Submission.get_by_id(session_id)
        keys = [key for key in keys_of(row) if storage.stat(key)]
        first = forget(settings, storage, row)
        if first:
            _note(row, who)
        erased_at = Submission.get_by_id(session_id).files_removed_at
    database.empty_log()
    files = (len(keys) if first else 0) + _remove_strays(storage, session_id)
    receipt = Receipt(session_id, erased_at, not first, files, forget_messages(queues.client, session_id))
    log.info("erased", extra={"session_id": session_id, "files": files, "messages": receipt.messages})
    return receipt


def erase_visitor(settings: Settings, storage: Storage, queues: Queues, cookie_id: str, *, who: str) -> list[Receipt]:
    """The same for all songs of a visitor's cookie id, newest first; those erased before included."""
    known = [cookie_id, hashed_cookie(settings, cookie_id)]
    mine = Submission.select(Submission.session_id).where(Submission.cookie_id.in_(known))
    rows = list(mine.order_by(Submission.created_at.desc()))
    receipts = [erase(settings, storage, queues, row.session_id, who=who) for row in rows]
    return [receipt for receipt in receipts if receipt is not None]


def _forget_mentions(session_id: str) -> None:
    """Answers kept for repeated requests, and messages that left or wait to leave."""
    IdempotencyKey.delete().where(IdempotencyKey.answer["session_id"] == session_id).execute()
    OutboxMessage.delete().where(OutboxMessage.payload["session_id"] == session_id).execute()


def _note(row: Any, who: str) -> None:
    Event.insert(
        submission=row.session_id, at=database.now(), from_stage=row.stage, to_stage=row.stage, claim_no=row.claim_no,
        reason="erased", detail=f"by {who}",
    ).execute()


def _remove_strays(storage: Storage, session_id: str) -> int:
    """Files of the song that its row never named, or no more."""
    mine = re.compile(rf"[a-z]+/{session_id}(?![A-Za-z0-9])")
    keys = [key for folder in FOLDERS for key, _ in storage.list_keys(f"{folder}/{session_id}") if mine.match(key)]
    return sum(storage.delete(key) for key in keys)


# ---- Redis

def forget_messages(client: Redis, session_id: str) -> int | None:
    """Messages about a song that wait or are over, with what they left behind; None while Redis is away.

    One that is being worked on stays, for its worker would write it again; it ends within minutes and goes by age.
    """
    try:
        return sum(_forget_message(client, job_id) for job_id in list(_messages(client, session_id)))
    except RedisError as error:
        log.warning("messages not removed", extra={"session_id": session_id, "error": type(error).__name__})
        return None


def _messages(client: Redis, session_id: str) -> Iterator[str]:
    for key in client.scan_iter(match=f"rq:job:*-{session_id}-*", count=2000):
        yield key.decode().removeprefix("rq:job:")


def _forget_message(client: Redis, job_id: str) -> bool:
    try:
        job: Any = Job.fetch(job_id, connection=client, serializer=JSONSerializer)
    except NoSuchJobError:
        return False
    if job.get_status(refresh=False) == JobStatus.STARTED:
        return False
    Result.delete_all(job)
    job.delete()
    return True
