"""A finished song's video made anew, after a change of artwork, say. The song stays done, and the old video is served
until the new one takes its place.

An order is `rerender_at`: when it is due. Taking it raises claim_no and puts rerender_at to the end of the lease, so that an
order whose worker died becomes due by itself; what is written later names claim_no. Files of the old video are then named
by no row, and go with the next look at orphans, for they are older than an hour.
"""
from dataclasses import dataclass
from typing import Any

from peewee import fn

from petsong import database
from petsong.database import db
from petsong.lifecycle.claims import clean, later
from petsong.lifecycle.operator import ImpossibleMove
from petsong.lifecycle.stages import Stage
from petsong.models import Event, Rendition, Submission

MAX_TRIES = 3
PICTURES = ("poster", "preview")


@dataclass(frozen=True)
class Errand:
    """One try of one order."""

    session_id: str
    number: int  # claim_no
    tries: int


def order(session_id: str, *, who: str) -> bool:
    """Have a finished song's video made anew; False where that is ordered already. Raises ImpossibleMove."""
    with db.atomic():
        moment = database.now()
        ordered = Submission.update(rerender_at=moment, rerender_tries=0, claim_no=Submission.claim_no + 1).where(
            Submission.session_id == session_id, _has_its_files(), Submission.rerender_at.is_null()
        ).execute()
        row: Any = Submission.get_or_none(Submission.session_id == session_id)
        if ordered == 1:
            _record(session_id, row.claim_no, "rerender_ordered", f"by {who}")
            return True
    if row is None:
        raise ImpossibleMove(f"There is no submission {session_id}.")
    if row.rerender_at is not None and row.files_removed_at is None:
        return False
    what = "expired" if row.files_removed_at else row.stage
    raise ImpossibleMove(f"{session_id} is {what}; only a finished song whose files exist can be rendered again.")


def due(limit: int = 500) -> list[str]:
    """Session ids of orders that nobody works on, the longest waiting first."""
    rows = Submission.select(Submission.session_id).where(_is_due()).order_by(Submission.rerender_at).limit(limit)
    return [row.session_id for row in rows]


def take(session_id: str, lease_seconds: float) -> Errand | None:
    """The order for so many seconds; None where there is none, somebody has it, or its tries are used up."""
    with db.atomic():
        rows = list(
            Submission.update(
                claim_no=Submission.claim_no + 1, rerender_tries=fn.COALESCE(Submission.rerender_tries, 0) + 1,
                rerender_at=later(database.now(), lease_seconds),
            ).where(Submission.session_id == session_id, _is_due())
            .returning(Submission.claim_no, Submission.rerender_tries)
        )
    if not rows:
        return None
    errand = Errand(session_id, rows[0].claim_no, rows[0].rerender_tries)
    if errand.tries > MAX_TRIES:
        _give_up(errand, "no try came to its end")
        return None
    return errand


def replace_video(errand: Errand, video: str, pictures: dict[str, str], loudness: Any) -> bool:
    """The new files take the old ones' place (`pictures`: {kind: key}); False where the errand is no longer ours.

    Further formats are ordered again, for they carry the same artwork; until they are made, the old ones are served.
    """
    with db.atomic():
        moment = database.now()
        replaced = (
            (Submission.session_id == errand.session_id) & (Submission.claim_no == errand.number)
            & (Submission.generated_video_path == video)
        )
        if Submission.select().where(replaced).exists():
            return True  # our own transaction, whose acknowledgement was lost: it is asked for again
        if Submission.update(
            generated_video_path=video, loudness=loudness, rerender_at=None
        ).where(_mine(errand)).execute() != 1:
            return False
        for kind, key in pictures.items():
            Rendition.update(path=key, made_at=moment).where(
                Rendition.submission == errand.session_id, Rendition.kind == kind
            ).execute()
        Rendition.update(claim_no=Rendition.claim_no + 1, tries=0, next_try_at=moment).where(
            Rendition.submission == errand.session_id, Rendition.kind.not_in(PICTURES)
        ).execute()
        _record(errand.session_id, errand.number, "rerendered")
    return True


def put_off(errand: Errand, seconds: float, detail: str) -> None:
    """After a failure: due again in so many seconds, or given up after the last try; the old video stays either way."""
    if errand.tries >= MAX_TRIES:
        _give_up(errand, detail)
        return
    with db.atomic():
        if Submission.update(rerender_at=later(database.now(), seconds)).where(_mine(errand)).execute() == 1:
            _record(errand.session_id, errand.number, "rerender_failed", detail)


def _give_up(errand: Errand, detail: str) -> None:
    with db.atomic():
        if Submission.update(rerender_at=None).where(_mine(errand)).execute() == 1:
            _record(errand.session_id, errand.number, "rerender_given_up", detail)


def _has_its_files() -> Any:
    return (Submission.stage == Stage.DONE) & Submission.files_removed_at.is_null()


def _is_due() -> Any:
    return (Submission.rerender_at <= database.now()) & _has_its_files()


def _mine(errand: Errand) -> Any:
    return (
        (Submission.session_id == errand.session_id) & (Submission.claim_no == errand.number)
        & Submission.rerender_at.is_null(False) & _has_its_files()
    )


def _record(session_id: str, claim_no: int, reason: str, detail: str = "") -> None:
    Event.insert(
        submission=session_id, at=database.now(), from_stage=Stage.DONE, to_stage=Stage.DONE, claim_no=claim_no,
        reason=reason, detail=clean(detail)[:65_536],
    ).execute()
