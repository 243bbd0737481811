"""What operators did that is no move of a song: who, when, what. Moves stand among the song's own events."""
from collections.abc import Sequence

from petsong import database
from petsong.models import OperatorAction


def record(who: str, action: str, *, subject: str = "", detail: str = "") -> None:
    """In the transaction of what was done, so that neither is there without the other. No names of visitors, no secrets."""
    OperatorAction.insert(
        at=database.now(), who=who[:100], action=action, subject=subject[:255], detail=detail.replace("\x00", "")
    ).execute()


def latest(number: int = 20, *, actions: Sequence[str] = (), subject: str = "") -> list[OperatorAction]:
    """Newest first; all of them, or those of some kinds, or about one thing."""
    found = OperatorAction.select().order_by(OperatorAction.at.desc(), OperatorAction.id.desc()).limit(number)
    if actions:
        found = found.where(OperatorAction.action.in_(list(actions)))
    if subject:
        found = found.where(OperatorAction.subject == subject)
    return list(found)
