"""Ending a song on its way by hand: whoever works on it loses its claim, and no order of it is sent any more.

What the service works on already goes on there, for it has no cancel: such an order stays a slot until it is known to have
ended, and is asked about until then.
"""
from petsong import database
from petsong.database import db
from petsong.lifecycle.claims import Claim, fail, void_uncalled
from petsong.lifecycle.operator import ImpossibleMove
from petsong.lifecycle.stages import CANCELLED, ENDS, Stage
from petsong.models import Submission


def cancel(session_id: str, *, who: str) -> bool:
    """End a row that is on its way as failed; False where it was cancelled before. Raises ImpossibleMove."""
    if stop(session_id, CANCELLED, f"by {who}"):
        return True
    row = Submission.get_or_none(Submission.session_id == session_id)
    if row is None:
        raise ImpossibleMove(f"There is no submission {session_id}.")
    if row.fail_reason == CANCELLED:
        return False
    raise ImpossibleMove(f"{session_id} is {row.stage}; only a submission that is on its way can be cancelled.")


def stop(session_id: str, reason: str, detail: str) -> bool:
    """End a row wherever it is, held or not; False where it is over, or unknown. One transaction, or part of yours."""
    with db.atomic():
        rows = list(
            Submission.update(claim_no=Submission.claim_no + 1)
            .where(Submission.session_id == session_id, Submission.stage.not_in(ENDS))
            .returning(Submission.stage, Submission.claim_no, Submission.tries)
        )
        if not rows:
            return False
        claim = Claim(session_id, Stage(rows[0].stage), rows[0].claim_no, rows[0].tries, 0)
        void_uncalled(session_id, database.now())
        fail(claim, reason, detail=detail)
    return True
