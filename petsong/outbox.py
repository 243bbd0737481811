"""The outbox: what leaves us, alerts for the operator and events for the agency, is a row first.

An event is written in the transaction of the move that it tells, so that none is missed and none tells what never happened.
A try is begun by one conditional UPDATE, which sets the next one ahead: what a dead deliverer began is made up for, and two
never send the same message at once. A message may still arrive twice; its id, the same at every try, tells.

No HTTP, no Redis, no settings here; the connection must be open. Jobs and requests that wrote a message enqueue its delivery
after their commit (`take_written`).
"""
import secrets
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from peewee import fn

from petsong import audit, database
from petsong.database import db
from petsong.models import Alert, Delivery, OutboxMessage

ALERT, EVENT = "alert", "event"
Severity = Literal["critical", "error", "warning"]
EventKind = Literal["submission.succeeded", "submission.failed"]
WAITING, DELIVERED, GIVEN_UP, NO_ADDRESS = "waiting", "delivered", "given_up", "no_address"
HOUR = 3600.0
ALERT_PERIOD = HOUR
REOPEN_PERIOD = 600.0
PAUSES = (5.0, 30.0, 120.0, 600.0, HOUR / 2, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, 24 * HOUR)  # given up after the last
LEASE_SECONDS = 60.0  # a try takes 10 s at most
DEAF_SECONDS = 15.0  # a receiver that just refused one message is left alone so long
BATCH = 50
MAX_NOTE = 300

_written: ContextVar[bool] = ContextVar("petsong_outbox_written", default=False)


class NotPossible(Exception):
    """A sentence for the operator: why not."""


@dataclass(frozen=True)
class Outcome:
    """What came of one try: `status` is HTTP's, None where no answer came; `note` says the rest in words."""

    status: int | None
    note: str
    ms: int


# ---- writing

def event(kind: EventKind, session_id: str, data: dict[str, Any]) -> None:
    """What happened to a song, for the agency. In the transaction of the move, by whoever moves the row; no names."""
    _write(kind, EVENT, {"session_id": session_id, **data}, database.now())


def alert(
    kind: str, text: str, *, dedupe: str, severity: Severity = "warning", data: dict[str, Any] | None = None
) -> bool:
    """One message for the operator, at most one an hour for each `dedupe`; whether it goes out. No names, no tokens.

    To be called as often as the condition is seen: repeats are counted, and the next message tells how many. What was over
    and begins anew is told after REOPEN_PERIOD already, and not before, so that what comes and goes all the time is no flood.
    """
    with database.lock(f"alert:{dedupe}"):
        moment = database.now()
        known = Alert.get_or_none(Alert.key == dedupe)
        period = ALERT_PERIOD if known is not None and _is_told(known) else REOPEN_PERIOD
        goes_out = known is None or _seconds_since(known.sent_at, moment) >= period
        suppressed = known.suppressed if known is not None else 0
        _remember(known, dedupe, moment, goes_out, kind=kind, severity=severity, text=text)
        if goes_out:
            more = f" ({suppressed} more of this since the last message)" if suppressed else ""
            _write(kind, ALERT, {
                "text": f"[{severity}] {text}{more}", "severity": severity, "key": dedupe, "state": "open",
                "suppressed": suppressed, **(data or {}),
            }, moment)
    return goes_out


def _remember(known: Any, key: str, moment: datetime, goes_out: bool, **columns: str) -> None:
    columns_now: dict[str, Any] = {**columns, "last_at": moment, "resolved_at": None}
    if goes_out:
        columns_now.update(sent_at=moment, suppressed=0)
    else:
        columns_now["suppressed"] = Alert.suppressed + 1
    if known is None:
        Alert.insert(key=key, since=moment, **columns_now).execute()
        return
    if known.resolved_at is not None or _seconds_since(known.last_at, moment) > ALERT_PERIOD:
        columns_now["since"] = moment  # nobody saw it in between: it began anew
    Alert.update(**columns_now).where(Alert.key == key).execute()


def _seconds_since(past: datetime, moment: datetime) -> float:
    return (moment - past).total_seconds()


def _is_told(known: Any) -> bool:
    """Whether it is open, and the operator knows since it last began."""
    return known.resolved_at is None and known.sent_at >= known.since


def resolve(dedupe: str, text: str) -> bool:
    """The condition is over: says so once, where the operator was told of it; whether it did."""
    with database.lock(f"alert:{dedupe}"):
        moment = database.now()
        known = Alert.get_or_none(Alert.key == dedupe, Alert.resolved_at.is_null())
        if known is None:
            return False
        Alert.update(resolved_at=moment).where(Alert.key == dedupe).execute()
        if not _is_told(known):
            return False
        _write(known.kind, ALERT, {
            "text": f"[resolved] {text}", "severity": known.severity, "key": dedupe, "state": "resolved",
            "suppressed": known.suppressed,
        }, moment)
    return True


def _write(kind: str, destination: str, payload: dict[str, Any], moment: datetime) -> None:
    OutboxMessage.insert(
        id=f"msg_{secrets.token_hex(12)}", kind=kind, destination=destination, payload=payload, created_at=moment,
        state=WAITING, next_try_at=moment,
    ).execute()
    _written.set(True)


def has_written() -> bool:
    return _written.get()


def take_written() -> bool:
    """Whether this job or request wrote a message since it was last asked: then a delivery is to be enqueued."""
    written = _written.get()
    _written.set(False)
    return written


# ---- delivering

def due() -> list[Any]:
    """Messages to be tried now, the oldest first, at most BATCH. A receiver that just refused one gets no other so soon."""
    moment = database.now()
    ready = [name for name in (ALERT, EVENT) if not _is_deaf(name, moment)]
    return list(
        OutboxMessage.select().where(OutboxMessage.next_try_at <= moment, OutboxMessage.destination.in_(ready))
        .order_by(OutboxMessage.next_try_at).limit(BATCH)
    )


def _is_deaf(destination: str, moment: datetime) -> bool:
    last = Delivery.select().where(Delivery.destination == destination).order_by(Delivery.at.desc()).first()
    if last is None or last.ms is None or can_take_more(Outcome(last.status, last.note, last.ms)):
        return False  # without ms: an operator wants it tried
    return bool(moment - last.at < timedelta(seconds=DEAF_SECONDS))


def can_take_more(outcome: Outcome) -> bool:
    """Whether the receiver answered, if only that it does not want this message; a busy one is left alone, too."""
    return outcome.status is not None and outcome.status < 500 and outcome.status != 429


def claim(message: Any) -> bool:
    """Begin a try: whether it is ours. Until it is settled, or LEASE_SECONDS have passed, nobody else begins one."""
    moment = database.now()
    begun: int = OutboxMessage.update(
        tries=OutboxMessage.tries + 1, next_try_at=moment + timedelta(seconds=LEASE_SECONDS)
    ).where(
        OutboxMessage.id == message.id, OutboxMessage.tries == message.tries, OutboxMessage.next_try_at <= moment
    ).execute()
    return begun == 1


def settle(message: Any, outcome: Outcome) -> str:
    """Write down what came of the try that was claimed; the message's state. 2xx: delivered; 410: nobody wants it."""
    tries = message.tries + 1
    delivered = outcome.status is not None and 200 <= outcome.status < 300
    over = delivered or outcome.status == 410 or tries > len(PAUSES)
    state = DELIVERED if delivered else GIVEN_UP if over else WAITING
    with db.atomic():
        moment = database.now()
        if OutboxMessage.update(tries=OutboxMessage.tries).where(OutboxMessage.id == message.id).execute() != 1:
            return state  # forgotten while it was on its way
        _log(message, moment, outcome)
        OutboxMessage.update(
            state=state, last_answer=_answer(outcome)[:MAX_NOTE],
            next_try_at=None if over else moment + timedelta(seconds=PAUSES[tries - 1]),
        ).where(OutboxMessage.id == message.id, OutboxMessage.tries == tries, OutboxMessage.state == WAITING).execute()
    return state


def put_aside(message: Any, why: str) -> None:
    """No address is set for it: kept, not tried; an operator may send it once there is one."""
    OutboxMessage.update(state=NO_ADDRESS, next_try_at=None, last_answer=why[:MAX_NOTE]).where(
        OutboxMessage.id == message.id, OutboxMessage.state == WAITING
    ).execute()


def _answer(outcome: Outcome) -> str:
    return " ".join(filter(None, [f"HTTP {outcome.status}" if outcome.status else "", outcome.note]))


def _log(message: Any, moment: datetime, outcome: Outcome) -> None:
    Delivery.insert(
        message=message.id, destination=message.destination, at=moment, status=outcome.status,
        note=outcome.note[:MAX_NOTE], ms=outcome.ms,
    ).execute()


# ---- for operators

def redeliver(message_id: str, *, who: str) -> None:
    """Try it again from the start, with the same id; the delivery log names who wanted it. Raises NotPossible."""
    with db.atomic():
        moment = database.now()
        message = OutboxMessage.get_or_none(OutboxMessage.id == message_id[:64].replace("\x00", ""))
        if message is None:
            raise NotPossible(f"There is no message {message_id[:64]} in the outbox.")
        changed = OutboxMessage.update(state=WAITING, next_try_at=moment, tries=0).where(
            OutboxMessage.id == message.id, OutboxMessage.state != WAITING
        ).execute()
        if changed != 1:
            raise NotPossible("It is waiting for its next try already.")
        Delivery.insert(
            message=message.id, destination=message.destination, at=moment, note=f"sent again by {who}"[:MAX_NOTE]
        ).execute()
        audit.record(who, "redelivered", subject=message.id, detail=message.kind)
    _written.set(True)


def open_alerts() -> list[Any]:
    """What the operator was told of and is not over, newest first. What happened once counts as open for an hour."""
    oldest = database.now() - timedelta(seconds=ALERT_PERIOD)
    return list(
        Alert.select().where(Alert.resolved_at.is_null(), Alert.last_at > oldest).order_by(Alert.since.desc()).limit(100)
    )


def backlog() -> dict[str, tuple[int, datetime]]:
    """{destination: (messages waiting, since when the oldest does)}."""
    rows: Any = OutboxMessage.select(
        OutboxMessage.destination, fn.COUNT(OutboxMessage.id), fn.MIN(OutboxMessage.created_at)
    ).where(OutboxMessage.next_try_at.is_null(False)).group_by(OutboxMessage.destination).tuples()
    since: Any = OutboxMessage.created_at.python_value
    return {name: (number, since(oldest)) for name, number, oldest in rows}


def prune(older_than: datetime) -> None:
    """Forget what is over, and alerts long past."""
    OutboxMessage.delete().where(OutboxMessage.created_at < older_than, OutboxMessage.state != WAITING).execute()
    Alert.delete().where(Alert.last_at < older_than).execute()
