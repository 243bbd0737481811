"""One accepted order and what the service says about it at a moment: pure functions of the task and the time.

Nothing advances a task: its state is computed from when it was accepted and when it ends, so that a restart needs no
repair and a kill no care.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime

STATUSES = (
    "RECEIVED",
    "PROMPT",
    "TASK_SENT",
    "GENERATE_TASK_STARTED",
    "BEGINNING_GENERATION",
    "GENERATING",
    "GENERATING_STREAMING_READY",
    "DECOMPRESSING",
    "SAVING",
)
ALIGNMENT_STATUSES = ("REQUESTED", "TASK_SENT", "ALIGNING")
Timing = list[tuple[str, float, float]]  # words and when they begin and end, in seconds of the song
# Where in the whole time each of STATUSES begins: most of it is GENERATING.
_BEGINS = (0.0, 0.03, 0.06, 0.1, 0.15, 0.2, 0.7, 0.85, 0.93)


@dataclass(frozen=True)
class Task:
    """Times are seconds since 1970; lengths are seconds."""

    task_id: str
    accepted_at: float
    ends_at: float
    outcome: str  # SUCCESS or FAILURE
    credits: int
    request: dict[str, object]
    lyrics: str
    vibe: str
    song_seconds: float
    peak_concurrent: int  # unfinished at acceptance, this one included
    error_message: str = "Generation failed: the model returned no audio"  # said on FAILURE only
    tone_hz: float | None = None
    composed: bool = False
    align_seconds: float = 0.0
    alignment: str = "SUCCESS"  # or FAILURE, or NEVER: stays at ALIGNING, or ABSENT: as if it had not been asked for
    other_keys: bool = False  # word timing in the other of its two spellings
    paths: str = "full"  # or relative, or empty
    statuses: list[str] = field(default_factory=lambda: list(STATUSES))
    forgotten_from: float | None = None  # not known between these two; None: never forgotten, and for ever
    forgotten_until: float | None = None
    faults: list[str] = field(default_factory=list)
    number: int = 0  # place in the ledger, from 1

    @property
    def prompt(self) -> str:
        return str(self.request.get("prompt") or "")

    @property
    def file_name(self) -> str:
        return f"audio_{self.task_id}_0.{self.request.get('output_format') or 'ogg'}"


def ended(task: Task, now: float) -> bool:
    return now >= task.ends_at


def status(task: Task, now: float) -> str:
    if ended(task, now):
        return task.outcome
    reached = [name for name, at in begins(task) if now >= at]
    return reached[-1] if reached else task.statuses[0]


def begins(task: Task) -> list[tuple[str, float]]:
    """When each of the statuses before the end begins; evenly where they are not the usual ones."""
    count = len(task.statuses)
    shares = _BEGINS if count == len(_BEGINS) else [number / count for number in range(count)]
    whole = task.ends_at - task.accepted_at
    return [(name, task.accepted_at + share * whole) for name, share in zip(task.statuses, shares, strict=True)]


def forgotten(task: Task, now: float) -> bool:
    if task.forgotten_from is None or now < task.forgotten_from:
        return False
    return task.forgotten_until is None or now < task.forgotten_until


def alignment_status(task: Task, now: float, ready: bool = True) -> str | None:
    """None while it was not asked for or there is no song yet; `ready` is whether the words' times are known."""
    if not task.request.get("align_lyrics") or task.alignment == "ABSENT" or status(task, now) != "SUCCESS":
        return None
    step = int((now - task.ends_at) / task.align_seconds * len(ALIGNMENT_STATUSES)) if task.align_seconds else 99
    if step < len(ALIGNMENT_STATUSES):
        return ALIGNMENT_STATUSES[step]
    return ALIGNMENT_STATUSES[-1] if task.alignment == "NEVER" or not ready else task.alignment


def song_paths(task: Task, base_url: str) -> list[str]:
    prefix = {"full": f"{base_url}/files/", "relative": "/files/"}.get(task.paths)
    return [] if prefix is None else [prefix + task.file_name]


def words(task: Task, timing: Timing | None = None) -> list[dict[str, object]]:
    """The lyrics with times, in either of the two spellings that clients have seen: odd orders the one, even the other.

    A line's last word carries its line break, a section's first word the section's label. Without `timing` (text, start,
    end) they go evenly through the song.
    """
    keys = ("start", "end") if (task.number + task.other_keys) % 2 else ("start_time", "end_time")
    timed = _even(task) if timing is None else timing
    return [{"word": text, keys[0]: round(start, 3), keys[1]: round(end, 3)} for text, start, end in timed]


def _even(task: Task) -> Timing:
    texts = _timed_texts(task.lyrics)
    first, step = 0.05 * task.song_seconds, 0.9 * task.song_seconds / max(1, len(texts))
    return [(text, first + at * step, first + (at + 0.8) * step) for at, text in enumerate(texts)]


def _timed_texts(lyrics: str) -> list[str]:
    texts: list[str] = []
    label = ""
    for line in lyrics.splitlines():
        if line.startswith("[") and line.endswith("]"):
            label = line + "\n"
            continue
        for word in line.split():
            texts.append(label + word)
            label = ""
        if line.strip():
            texts[-1] += "\n"
    return texts


def document(
    task: Task, now: float, base_url: str, timing: Timing | None = None, ready: bool = True
) -> dict[str, object]:
    """The whole task as GET /generations/{task_id} answers it."""
    state, aligned = status(task, now), alignment_status(task, now, ready)
    done = state == "SUCCESS"
    timed = {} if task.alignment == "ABSENT" else {"word_aligned_lyrics": words(task, timing) if aligned == "SUCCESS" else None}
    return {
        "id": task.task_id,
        "created_at": datetime.fromtimestamp(task.accepted_at, UTC).isoformat(),
        "status": state,
        "alignment_status": aligned,
        "model_version": "v3",
        "song_paths": song_paths(task, base_url) if done else [],
        "error_message": task.error_message if state == "FAILURE" else None,
        "lyrics": task.lyrics if done and not task.request.get("instrumental") else None,
        **timed,
        "prompt": task.request.get("prompt"),
        "prompt_strength": task.request.get("prompt_strength"),
        "tags": task.request.get("tags") or [],
        "v3_params": {name: task.request[name] for name in sorted(task.request) if name not in ("prompt", "tags")},
    }


def webhook_body(task: Task, base_url: str, said: str | None = None) -> dict[str, object]:
    """What the service posts when the task has ended, or `said` is its status before."""
    if said is not None and said != task.outcome:
        return {"task_id": task.task_id, "status": said}
    if task.outcome == "SUCCESS":
        return {"task_id": task.task_id, "status": "SUCCESS", "song_paths": song_paths(task, base_url)}
    return {"task_id": task.task_id, "status": "FAILURE", "error_message": task.error_message}
