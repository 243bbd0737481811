"""The stages of a submission and the moves between them; everything else about them is built on these tables."""
from enum import StrEnum


class Stage(StrEnum):
    QUEUED = "queued"
    SENDING = "sending"
    GENERATING = "generating"
    DOWNLOADING = "downloading"
    RENDERING = "rendering"
    DONE = "done"
    FAILED = "failed"


ENTRY_STATUS = {
    Stage.QUEUED: "pending",
    Stage.SENDING: "processing",
    Stage.GENERATING: "processing",
    Stage.DOWNLOADING: "processing",
    Stage.RENDERING: "processing",
    Stage.DONE: "success",
    Stage.FAILED: "fail",
}

MOVES: dict[Stage, frozenset[Stage]] = {
    Stage.QUEUED: frozenset({Stage.SENDING, Stage.FAILED}),
    Stage.SENDING: frozenset({Stage.QUEUED, Stage.GENERATING, Stage.FAILED}),
    # Back to the queue: only in a revived row, when the service says that its old task brought nothing.
    Stage.GENERATING: frozenset({Stage.QUEUED, Stage.SENDING, Stage.DOWNLOADING, Stage.FAILED}),
    # Back to the service: only where the song is lost and another order of the row may still bring one.
    Stage.DOWNLOADING: frozenset({Stage.SENDING, Stage.GENERATING, Stage.RENDERING, Stage.FAILED}),
    Stage.RENDERING: frozenset({Stage.DONE, Stage.FAILED}),
    Stage.DONE: frozenset(),
    Stage.FAILED: frozenset(),
}

# An operator's retry gives a failed row a new life at its first missing artefact.
REVIVALS = frozenset({Stage.QUEUED, Stage.SENDING, Stage.GENERATING, Stage.DOWNLOADING, Stage.RENDERING})

ENDS = frozenset({Stage.DONE, Stage.FAILED})

CANCELLED, DELETED = "cancelled", "deleted"  # reasons of rows that were ended by hand

# A job that kills its worker ends its row after so many tries. Sending and generating count only tries that died:
# those that come back are set to zero, because waiting there is normal.
MAX_TRIES = {Stage.QUEUED: 1_000_000, Stage.SENDING: 5, Stage.GENERATING: 20, Stage.DOWNLOADING: 3, Stage.RENDERING: 2}
