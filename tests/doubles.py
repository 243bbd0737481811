"""A pool from which one guard was taken away, for the proof that the drill's judge notices.

Run as a program like pipeline.py (see there); PETSONG_TEST_DOUBLE names the guard. The product knows nothing of this: each
double replaces a function of it before the pool begins.
"""
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pipeline
from jobs import dispatch, upkeep, wrapper
from petsong import database
from petsong.database import db
from petsong.lifecycle import claims, readback, recovery, sending
from petsong.lifecycle.claims import Claim
from petsong.lifecycle.stages import Stage
from petsong.models import Attempt, Submission
from petsong.storage import LocalStorage


def without_the_claim() -> None:
    """Whoever wants a row has it, and so with its attempt: nothing is compared before it is set."""

    def take(session_id: str, stage: Stage, lease_seconds: float, **_: Any) -> Claim:
        row = Submission.get_by_id(session_id)
        return Claim(session_id, stage, row.claim_no, row.tries, time.monotonic() + lease_seconds)

    def begin_call(claim: Claim, *_: Any) -> Any:
        Attempt.update(call_started_at=database.now()).where(Attempt.submission == claim.session_id).execute()
        return Attempt.get(Attempt.submission == claim.session_id)

    for module in (claims, readback, recovery, sending, wrapper):
        module.take = take  # type: ignore[attr-defined]
    dispatch.begin_call = begin_call  # type: ignore[attr-defined]


def without_the_fencing() -> None:
    """Writes name row and stage, but not the claim."""
    claims.owned = lambda claim: (Submission.session_id == claim.session_id) & (Submission.stage == claim.stage)


def without_the_rename() -> None:
    """Files grow under their own names."""

    def put(self: LocalStorage, key: str, fill: Callable[[Path], None]) -> None:
        target = self._path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = target.with_name(f".tmp-{os.getpid()}")
        fill(aside)
        data = aside.read_bytes()
        aside.unlink()
        with target.open("wb") as file:
            for start in range(0, len(data), len(data) // 4 + 1):
                file.write(data[start : start + len(data) // 4 + 1])
                file.flush()
                time.sleep(0.4)

    LocalStorage._put = put  # type: ignore[method-assign]


def without_the_sweep() -> None:
    """Nobody looks for rows whose message was lost."""
    upkeep.run_sweep = lambda _: None


def without_the_slots_lock() -> None:
    """Count, then claim, and the others count in between."""
    real = sending.slots_in_use

    @contextmanager
    def lock(_: str) -> Iterator[None]:
        with db.atomic():
            yield

    def in_turn(*arguments: Any) -> int:
        count = real(*arguments)
        mine = Path(f"counted-{os.getppid()}")  # the parent is the worker
        mine.touch()
        deadline = time.monotonic() + 5
        while len(all_ := sorted(Path().glob("counted-*"))) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.4 * all_.index(mine))  # so that the next one claims other rows
        return count

    database.lock = lock
    sending.slots_in_use = in_turn


DOUBLES = {
    double.__name__: double
    for double in (without_the_claim, without_the_fencing, without_the_rename, without_the_sweep, without_the_slots_lock)
}

if __name__ == "__main__":
    DOUBLES[os.environ["PETSONG_TEST_DOUBLE"]]()
    sys.exit(pipeline.main())
