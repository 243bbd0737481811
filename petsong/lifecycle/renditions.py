"""Further formats of finished songs: ordered in the transaction that makes a song done, then tried, or given up.

A rendition with a `next_try_at` is an order, be it for a file that takes an older one's place. It is due then; taking it
raises `claim_no` and `tries` and puts `next_try_at` to the end of the lease, so that an order whose worker died becomes due
by itself. What is written later names `claim_no`: a worker that was frozen and replaced changes nothing. Nothing here ever
touches the song's own row.
"""
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from petsong import database
from petsong.database import db
from petsong.lifecycle.claims import later
from petsong.models import Rendition

log = logging.getLogger(__name__)
MAX_TRIES = 3


@dataclass(frozen=True)
class Errand:
    """One try of one order."""

    id: int
    session_id: str
    kind: str
    number: int  # claim_no
    tries: int


def order(session_id: str, kinds: Iterable[str], moment: datetime) -> None:
    """For the transaction that makes the song done."""
    for kind in kinds:
        Rendition.insert(
            submission=session_id, kind=kind, path="", made_at=moment, next_try_at=moment
        ).on_conflict_ignore().execute()


def is_due() -> bool:
    return bool(_due().exists())


def take_next(lease_seconds: float) -> Errand | None:
    """The order that is due for the longest time, for so many seconds; None where none is due."""
    while (found := _due().order_by(Rendition.next_try_at, Rendition.id).first()) is not None:
        if found.tries >= MAX_TRIES:
            _give_up(_errand(found), "no try came to its end")
            continue
        with db.atomic():
            moment = database.now()
            taken = list(
                Rendition.update(
                    claim_no=Rendition.claim_no + 1, tries=Rendition.tries + 1, next_try_at=later(moment, lease_seconds)
                ).where(_mine(_errand(found)), Rendition.next_try_at <= moment).returning(Rendition)
            )
        if taken:
            return _errand(taken[0])
    return None


def finish(errand: Errand, path: str, *, width: int, height: int, size: int) -> bool:
    """Name the file. False where the try is no longer ours, or the song was forgotten meanwhile; a repeat is harmless."""
    changed: int = Rendition.update(
        path=path, made_at=database.now(), next_try_at=None, width=width, height=height, bytes=size
    ).where(_mine(errand), _is_ordered() | (Rendition.path == path)).execute()
    return changed == 1


def put_off(errand: Errand, seconds: float, reason: str) -> None:
    """After a failure: due again in so many seconds, or given up after the last try."""
    if errand.tries >= MAX_TRIES:
        _give_up(errand, reason)
        return
    log.warning("format failed", extra={"reason": reason, "tries": errand.tries})
    Rendition.update(next_try_at=later(database.now(), seconds)).where(_mine(errand), _is_ordered()).execute()


def _give_up(errand: Errand, reason: str) -> None:
    if Rendition.update(next_try_at=None).where(_mine(errand), _is_ordered()).execute():
        log.error("format given up", extra={"session_id": errand.session_id, "format": errand.kind, "reason": reason})


def _due() -> Any:
    return Rendition.select().where(Rendition.next_try_at <= database.now())


def _is_ordered() -> Any:
    return Rendition.next_try_at.is_null(False)


def _errand(found: Any) -> Errand:
    return Errand(found.id, found.session_id, found.kind, found.claim_no, found.tries)


def _mine(errand: Errand) -> Any:
    return (Rendition.id == errand.id) & (Rendition.claim_no == errand.number)
