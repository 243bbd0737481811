"""The song service, as the rest of us knows it: a client, and what answers mean. Another provider would be another such
package with the same names."""

from petsong.sonauto.answers import (
    Answer,
    Hint,
    Meaning,
    TaskAnswer,
    classify_exception,
    classify_submit,
    read_balance,
    read_hint,
    read_task,
)
from petsong.sonauto.client import Order, SongService

__all__ = [
    "Answer", "Hint", "Meaning", "Order", "SongService", "TaskAnswer", "classify_exception", "classify_submit",
    "read_balance", "read_hint", "read_task",
]
