"""How long a song takes and how far it is, as visitors are told: by the usual times of the last songs."""
from datetime import datetime
from typing import Any

from petsong.lifecycle import breaker
from petsong.lifecycle.stages import ENDS, Stage
from petsong.models import Attempt, Event, Submission
from petsong.settings import Settings

SENDING_SECONDS = 30.0
GENERATION_GUESS_SECONDS = 90.0
PRODUCTION_SECONDS = 15.0
RENDER_SECONDS = 4.0  # of each that waits for its video
TOO_LONG = 6  # times the usual: from there on nobody can tell how much longer


# ---- waiting

def queue_position(row: Any) -> int | None:
    """1 is next; None once a slot was found."""
    if row.stage != Stage.QUEUED:
        return None
    ahead: int = Submission.select().where(
        Submission.stage == Stage.QUEUED,
        (Submission.created_at < row.created_at)
        | ((Submission.created_at == row.created_at) & (Submission.session_id < row.session_id)),
    ).count()
    return ahead + 1


def typical_generation(before: datetime | None = None) -> float:
    """Seconds between order and song, the median of the last 20 songs, or of the last 20 `before` a moment."""
    ended = Attempt.ended_at <= before if before else True
    last = Attempt.select(Attempt.call_started_at, Attempt.ended_at).where(
        Attempt.ended_as == "success", Attempt.call_started_at.is_null(False), ended
    ).order_by(Attempt.ended_at.desc()).limit(20)
    took = sorted((a.ended_at - a.call_started_at).total_seconds() for a in last)
    return took[len(took) // 2] if took else GENERATION_GUESS_SECONDS


def wait_for_position(settings: Settings, position: int, generation: float) -> float:
    """Seconds until a row at this place of the queue has its video."""
    rounds = (position - 1) // settings.max_concurrent_requests
    return (rounds + 1) * generation + PRODUCTION_SECONDS


def expected_wait(settings: Settings) -> float:
    """Seconds for somebody who comes now."""
    ahead = Submission.select().where(Submission.stage.in_([Stage.QUEUED, Stage.SENDING, Stage.GENERATING])).count()
    behind = Submission.select().where(Submission.stage.in_([Stage.DOWNLOADING, Stage.RENDERING])).count()
    return wait_for_position(settings, ahead + 1, typical_generation()) + behind * RENDER_SECONDS


def seconds_remaining(settings: Settings, row: Any, moment: datetime) -> tuple[int, int] | None:
    """An honest range for a row on its way: what took long may well take as long again.

    None when it is over, or nobody can tell.
    """
    if row.stage in ENDS:
        return None
    if row.stage == Stage.QUEUED:
        if breaker.is_tripped() or breaker.spending_stopped():
            return None  # the queue stands still
        return _range(wait_for_position(settings, queue_position(row) or 1, typical_generation()))
    spent = _spent(row, moment)
    if row.stage in (Stage.SENDING, Stage.GENERATING):
        usual, least, behind = typical_generation(), 5.0, PRODUCTION_SECONDS
    else:
        usual, least, behind = PRODUCTION_SECONDS, 3.0, _renders_before(row, moment) * RENDER_SECONDS
    if spent > TOO_LONG * (usual + behind):
        return None
    return _range(max(usual - spent, least) + behind, spent)


def _range(left: float, spent: float = 0) -> tuple[int, int]:
    return max(1, round(left * 0.7)), max(2, round(left * 1.8), round(spent))


def _spent(row: Any, moment: datetime) -> float:
    """Seconds in its stage; those before a render began went to the ones ahead of it."""
    begun = row.video_creation_start if row.stage == Stage.RENDERING else None
    return float((moment - max(row.stage_since, begun or row.stage_since)).total_seconds())


def _renders_before(row: Any, moment: datetime) -> int:
    """Rows whose video is made before this one's: renders go by how long they wait."""
    since = row.stage_since if row.stage == Stage.RENDERING else moment
    count: int = Submission.select().where(Submission.stage == Stage.RENDERING, Submission.stage_since < since).count()
    return count


# ---- progress: where each stage begins, and what it comes close to
SPANS = {
    Stage.QUEUED: (1, 10), Stage.SENDING: (10, 15), Stage.GENERATING: (15, 80), Stage.DOWNLOADING: (85, 92),
    Stage.RENDERING: (92, 99),
}


def progress(settings: Settings, row: Any, moment: datetime) -> int:
    """0-100, and 100 only at the end. It creeps by each stage's usual time, and never turns back within a life."""
    if row.stage in ENDS:
        return 100
    stage = Stage(row.stage)
    share = _queue_share(settings, row, moment) if stage == Stage.QUEUED else _share(row, stage, row.stage_since, moment)
    return max(_within(stage, share), _reached(row, stage))


def _within(stage: Stage, share: float) -> int:
    begin, end = SPANS[stage]
    return begin + round((end - begin) * share)


def _queue_share(settings: Settings, row: Any, moment: datetime) -> float:
    """Waited, of the whole wait. Of songs that set out before this one there are never more as time goes by."""
    before = Submission.select().where(Submission.stage.in_(list(SPANS)), Submission.life_since < row.life_since).count()
    wait = wait_for_position(settings, before + 1, typical_generation(row.life_since))
    waited = max(0.0, (moment - row.life_since).total_seconds())
    return waited / (waited + wait)


def _share(row: Any, stage: Stage, since: datetime, until: datetime) -> float:
    """Three quarters at the usual time, as it was when the stage began, and ever more slowly beyond."""
    usual = {Stage.SENDING: SENDING_SECONDS, Stage.DOWNLOADING: PRODUCTION_SECONDS}.get(stage)
    if stage == Stage.GENERATING:
        usual = typical_generation(since)
    elif stage == Stage.RENDERING:
        usual = PRODUCTION_SECONDS + _renders_before(row, until) * RENDER_SECONDS
    spent = max(0.0, (until - since).total_seconds()) / (usual or 1)
    return spent / (spent + 0.35)


def _reached(row: Any, stage: Stage) -> int:
    """How far the row had come in this life where it was sent back to this stage, as after a refusal."""
    moves = Event.select(Event.from_stage, Event.at).where(
        Event.submission == row.session_id, Event.at > row.life_since, Event.from_stage != Event.to_stage
    ).order_by(Event.id)
    lowest = max(SPANS[stage], SPANS[Stage.SENDING])  # no wait in the queue reaches beyond where sending begins
    furthest, since = 0, row.life_since
    for move in moves:
        left = Stage(move.from_stage)
        if SPANS.get(left, (0, 0)) >= lowest:
            furthest = max(furthest, _within(left, _share(row, left, since, move.at)))
        since = move.at
    return furthest
