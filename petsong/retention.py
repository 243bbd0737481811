"""What happens to personal data in the end: files, names, lyrics and the service's answers go; a statistic stays."""
import logging
import re
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

from petsong import database, outbox
from petsong.database import db
from petsong.lifecycle.arrival import hashed_cookie
from petsong.lifecycle.claims import later
from petsong.lifecycle.stages import ENDS
from petsong.models import Attempt, CreditReading, Event, Heartbeat, IdempotencyKey, Rendition, Submission
from petsong.settings import Settings
from petsong.storage import Storage

log = logging.getLogger(__name__)
DAY = 86_400
ORPHAN_SECONDS = 3600
ROWS_PER_PASS = 500
SESSION_OF_KEY = re.compile(r"[a-z]+/([A-Za-z0-9]+)")
BY_HAND = ("retried", "cancelled", "deleted", "erased", "rerender_ordered")  # events whose detail is "by …" and no more


def remove_expired(settings: Settings, storage: Storage, seconds: float = float("inf")) -> tuple[int, bool]:
    """Files and personal data older than FILE_RETENTION_DAYS, for about so many seconds.

    The number of submissions, and False where time ran out. A kill is made up next time.
    """
    ends, removed, finished = time.monotonic() + seconds, 0, True
    for row in _expired(settings):
        removed += _forgotten(settings, storage, row)
        if time.monotonic() > ends:
            finished = False
            break
    _prune(settings)
    database.empty_log()
    return removed, finished


def _expired(settings: Settings) -> Iterator[Any]:
    oldest, after = later(database.now(), -settings.file_retention_days * DAY), ""
    while rows := list(Submission.select().where(
        Submission.created_at < oldest, Submission.files_removed_at.is_null(), Submission.stage.in_(ENDS),
        Submission.session_id > after,
    ).order_by(Submission.session_id).limit(ROWS_PER_PASS)):
        yield from rows
        after = rows[-1].session_id


def _forgotten(settings: Settings, storage: Storage, row: Any) -> bool:
    """One row whose file can't be removed does not keep the others."""
    try:
        return forget(settings, storage, row)
    except OSError as error:
        log.error("could not remove files", extra={"session_id": row.session_id, "error": type(error).__name__})
        return False


def forget(settings: Settings, storage: Storage, row: Any) -> bool:
    """One ended submission's files and personal data; the row stays, its cookie as a keyed hash.

    In one transaction with the files' removal: an operator's retry comes before it, or too late. False: it came before.
    """
    with db.atomic():
        changed = Submission.update(
            owner_name="", pet_name="", owner_name_said="", pet_name_said="", lyrics=None, llm_full_response=None,
            llm_response=None, word_timing=None, timing_check_at=None, cookie_id=hashed_cookie(settings, row.cookie_id),
            files_removed_at=database.now(), rerender_at=None,
        ).where(
            Submission.session_id == row.session_id, Submission.stage.in_(ENDS), Submission.files_removed_at.is_null()
        ).execute()
        if changed != 1:
            return False
        for key in keys_of(row):
            storage.delete(key)
        # Who did something by hand stays: that is the audit log, and no visitor's name.
        Event.update(detail="").where(Event.submission == row.session_id, Event.reason.not_in(BY_HAND)).execute()
        Attempt.update(outcome_detail="").where(Attempt.submission == row.session_id).execute()
        Rendition.delete().where(Rendition.submission == row.session_id).execute()
    return True


def keys_of(row: Any) -> list[str]:
    return _own_keys(row) + [rendition.path for rendition in row.renditions if rendition.path]


def _own_keys(row: Any) -> list[str]:
    return [key for key in (row.photo_path, row.generated_song_path, row.generated_video_path) if key]


def _prune(settings: Settings) -> None:
    moment = database.now()
    IdempotencyKey.delete().where(IdempotencyKey.created_at < later(moment, -DAY)).execute()
    CreditReading.delete().where(CreditReading.at < later(moment, -settings.file_retention_days * DAY)).execute()
    outbox.prune(later(moment, -settings.file_retention_days * DAY))
    Heartbeat.delete().where(Heartbeat.at < later(moment, -DAY)).execute()


# ---- files and rows that miss each other

def orphans(storage: Storage) -> Iterator[str]:
    """Keys that no row names, an hour old: left by whoever died between the file and its row."""
    oldest = database.now().timestamp() - ORPHAN_SECONDS
    old = (key for key, modified in storage.list_keys() if modified < oldest)
    while some := list(islice(old, ROWS_PER_PASS)):
        named = _named_by(_rows_of(some))
        yield from (key for key in some if key not in named)


def _rows_of(keys: list[str]) -> list[Any]:
    """Rows that may name these keys; those whose data are gone name nothing."""
    ids = {found[1] for key in keys if (found := SESSION_OF_KEY.match(key))}
    columns = (Submission.session_id, Submission.photo_path, Submission.generated_song_path, Submission.generated_video_path)
    mine = Submission.session_id.in_(list(ids)) & Submission.files_removed_at.is_null()
    return list(Submission.select(*columns).where(mine))


def _named_by(rows: list[Any]) -> set[str]:
    ids = [row.session_id for row in rows]
    renditions: Any = Rendition.select(Rendition.path).where(Rendition.submission.in_(ids))
    return {key for row in rows for key in _own_keys(row)} | {rendition.path for rendition in renditions}


def missing(storage: Storage) -> Iterator[tuple[str, str]]:
    """(session id, key) where a row names a file that is not there."""
    after = ""
    while rows := list(
        Submission.select().where(Submission.session_id > after, Submission.files_removed_at.is_null())
        .order_by(Submission.session_id).limit(ROWS_PER_PASS)
    ):
        after = rows[-1].session_id
        for row in rows:
            yield from ((row.session_id, key) for key in keys_of(row) if storage.stat(key) is None)
