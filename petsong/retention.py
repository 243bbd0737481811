"""What happens to personal data in the end: files, names, lyrics and the service's answers go; a statistic stays."""
import hmac
import logging
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from petsong import database
from petsong.database import db
from petsong.lifecycle.claims import later
from petsong.lifecycle.stages import ENDS
from petsong.models import Attempt, CreditReading, Event, Heartbeat, IdempotencyKey, Rendition, Submission
from petsong.settings import Settings
from petsong.storage import Storage

log = logging.getLogger(__name__)
DAY = 86_400
ORPHAN_SECONDS = 3600
ROWS_PER_PASS = 500


def remove_expired(settings: Settings, storage: Storage) -> int:
    """Files and personal data older than FILE_RETENTION_DAYS; the number of submissions. A kill is made up next time."""
    removed, after = 0, ""
    while rows := _expired(settings, after):
        removed += sum(_forgotten(settings, storage, row) for row in rows)
        after = rows[-1].session_id
    _prune(settings)
    return removed


def _expired(settings: Settings, after: str) -> list[Any]:
    oldest = later(database.now(), -settings.file_retention_days * DAY)
    return list(Submission.select().where(
        Submission.created_at < oldest, Submission.files_removed_at.is_null(), Submission.stage.in_(ENDS),
        Submission.session_id > after,
    ).order_by(Submission.session_id).limit(ROWS_PER_PASS))


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
    cookie = hmac.new(settings.secret_key.encode(), row.cookie_id.encode(), sha256).hexdigest()
    with db.atomic():
        changed = Submission.update(
            owner_name="", pet_name="", owner_name_said="", pet_name_said="", lyrics=None, llm_full_response=None,
            llm_response=None, word_timing=None, timing_check_at=None, cookie_id=cookie,
            files_removed_at=database.now(),
        ).where(
            Submission.session_id == row.session_id, Submission.stage.in_(ENDS), Submission.files_removed_at.is_null()
        ).execute()
        if changed != 1:
            return False
        for key in keys_of(row):
            storage.delete(key)
        Event.update(detail="").where(Event.submission == row.session_id).execute()
        Attempt.update(outcome_detail="").where(Attempt.submission == row.session_id).execute()
        Rendition.delete().where(Rendition.submission == row.session_id).execute()
    return True


def keys_of(row: Any) -> list[str]:
    named = [row.photo_path, row.generated_song_path, row.generated_video_path]
    return [key for key in named if key] + [rendition.path for rendition in row.renditions]


def _prune(settings: Settings) -> None:
    moment = database.now()
    IdempotencyKey.delete().where(IdempotencyKey.created_at < later(moment, -DAY)).execute()
    CreditReading.delete().where(CreditReading.at < later(moment, -settings.file_retention_days * DAY)).execute()
    Heartbeat.delete().where(Heartbeat.at < later(moment, -DAY)).execute()


def orphans(storage: Storage) -> Iterator[str]:
    """Keys that no row names, an hour old: left by whoever died between the file and its row."""
    oldest = database.now().timestamp() - ORPHAN_SECONDS
    for key, modified in storage.list_keys():
        if modified < oldest and not _is_named(key):
            yield key


def _is_named(key: str) -> bool:
    session_id = key.partition("/")[2].partition(".")[0]
    row = Submission.get_or_none(Submission.session_id == session_id)
    return row is not None and key in keys_of(row)
