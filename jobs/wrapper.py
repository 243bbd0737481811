"""Around every job: a database connection, one line at its start and end, and failures that leave a trace on the row.

`held` is the claim around the work: whatever happens inside, the row is given back or its lease ends by itself.
"""
import functools
import logging
import os
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from rq.exceptions import ShutDownImminentException

from jobs.tools import tools
from petsong import alerts, database, logs, outbox
from petsong.lifecycle.claims import Claim, ClaimLost, release, take
from petsong.lifecycle.orders import end_without_song
from petsong.lifecycle.recovery import job_for
from petsong.lifecycle.stages import MAX_TRIES, Stage
from petsong.models import Submission
from petsong.settings import Settings

log = logging.getLogger("jobs")
Returned = TypeVar("Returned")
RECORD_PAUSES = (0.5, 2.0, 5.0, 10.0, 15.0, 15.0, 15.0)  # a managed failover takes up to a minute


def job(function: Callable[..., None]) -> Callable[..., None]:
    """Exceptions are raised on, so that RQ knows; a lost claim is no failure."""

    @functools.wraps(function)
    def run(*ids: str) -> None:
        began = time.monotonic()
        with logs.bind(job=function.__name__), database.connection(), named_in_log(*ids):
            try:
                function(*ids)
            except ClaimLost as error:
                log.info("claim lost: %s", error)
            finally:
                log.info("job ended", extra={"ms": round((time.monotonic() - began) * 1000)})
                _send_messages()

    return run


@contextmanager
def named_in_log(*ids: str) -> Iterator[None]:
    """Every line within names the song, and the request that brought it: one id from the form to the video."""
    if not ids:
        yield
        return
    row = Submission.select(Submission.request_id).where(Submission.session_id == ids[0]).first()
    with logs.bind(session_id=ids[0], request_id=row.request_id if row else None):
        yield


def _send_messages() -> None:
    """Only where there is something to tell, because the tools take settings, ffmpeg and a database to make."""
    if logs.CRITICALS.kept or outbox.has_written():
        alerts.pass_on(tools().queues)


_pool = "no-pool"


def name_pool(name: str) -> None:
    """Called by a worker pool before it forks; part of every holder's name below it."""
    global _pool
    _pool = name


def holder(pid: int | None = None) -> str:
    """This process, or one of the same pool, as leases name it."""
    return f"{_pool}:{pid or os.getpid()}"


@contextmanager
def held(session_id: str, stage: Stage, lease_seconds: float, settings: Settings) -> Iterator[Claim | None]:
    """The row in this stage, or None. An unexpected failure gives it back for another try, or ends it after the last."""
    claim = take(session_id, stage, lease_seconds, holder=holder())
    with given_back(claim, settings):
        yield claim


@contextmanager
def given_back(claim: Claim | None, settings: Settings) -> Iterator[None]:
    """Whatever is raised inside, the row does not stay ours until its lease ends."""
    try:
        yield
    except ClaimLost:
        raise
    except (Exception, ShutDownImminentException) as error:
        if claim is not None:
            _give_back(claim, settings, error)
        raise


def _give_back(claim: Claim, settings: Settings, error: BaseException) -> None:
    """A read-back, and a job stopped by a deployment, use up no try. Where the database is away, the lease's end does it."""
    stopped = isinstance(error, ShutDownImminentException)
    log.log(logging.WARNING if stopped else logging.ERROR, "job broke off", extra={"stage": claim.stage, "tries": claim.tries})
    trace = "" if stopped else "".join(traceback.format_exception(error))
    free = stopped or claim.stage in (Stage.GENERATING, Stage.SENDING)
    try:
        with database.connection():
            if not free and claim.tries >= MAX_TRIES[claim.stage]:
                end_without_song(settings, claim, f"{claim.stage}_crashed", detail=trace)
                return
            pause = 0 if stopped else settings.backoff(claim.tries)
            # A call that was begun may have been accepted: then nothing is due but time or a webhook.
            due = None if claim.stage == Stage.SENDING and not job_for(claim.session_id, claim.stage) else pause
            tries = claim.tries - 1 if free else claim.tries
            release(claim, check_in=due, tries=tries, reason="stopped" if stopped else "crashed", detail=trace)
    except (ClaimLost, database.DatabaseLost, *database.CONNECTION_ERRORS) as lost:
        log.warning("could not give the row back", extra={"error": type(lost).__name__})


@contextmanager
def without_database() -> Iterator[None]:
    """For calls and renders: no connection is held meanwhile, and a fresh one is there afterwards.

    Where the database is away just then, what was learnt must not be lost: `recorded` goes on trying.
    """
    close_connection()
    try:
        yield
    finally:
        try:
            database.open_connection()
        except database.DatabaseLost:
            log.warning("the database is away")


def close_connection() -> None:
    if not database.db.is_closed():
        database.db.close()


def recorded(write: Callable[[], Returned]) -> Returned:
    """What was learnt at a price is written down even if the database is restarting just now."""
    for pause in RECORD_PAUSES:
        try:
            return write()
        except (database.DatabaseLost, *database.CONNECTION_ERRORS):
            close_connection()
            time.sleep(pause)
            with suppress(database.DatabaseLost):
                database.open_connection()
    return write()


