"""The one alert that can't wait in the outbox: the database itself is lost. Best effort, from the scheduler.

Sent straight to ALERT_WEBHOOK_URL; Redis remembers that it was, so that several schedulers tell once an hour. Once the
database is back the outbox tells of the loss as well, from the CRITICAL lines of all processes.
"""
import logging
import secrets
from datetime import UTC, datetime

from redis import Redis
from redis.exceptions import RedisError

from petsong import outgoing
from petsong.models import OutboxMessage
from petsong.outbox import ALERT, ALERT_PERIOD
from petsong.settings import Settings

log = logging.getLogger(__name__)
TOLD = "petsong:told:database_lost"
TEXT = "[critical] The database does not answer: the site answers 503, no song is made. Check DATABASE_URL and the server."


def tell_of_lost_database(settings: Settings, client: Redis) -> bool:
    """Whether it was told just now. A failed try is repeated with the next call."""
    receiver = outgoing.receiver_of(settings, ALERT)
    if receiver is None:
        return False
    try:
        if not client.set(TOLD, "1", nx=True, ex=round(ALERT_PERIOD)):
            return False
        outcome = outgoing.send(settings, receiver, _message())
        told = outcome.status is not None and 200 <= outcome.status < 300
        if not told:
            client.delete(TOLD)
        return told
    except RedisError as error:
        log.warning("nobody told of the lost database", extra={"error": type(error).__name__})
        return False


def _message() -> OutboxMessage:
    """Never saved: there is nowhere to."""
    payload = {"text": TEXT, "severity": "critical", "key": "database_lost", "state": "open", "suppressed": 0}
    return OutboxMessage(
        id=f"msg_{secrets.token_hex(12)}", kind="critical", destination=ALERT, payload=payload, created_at=datetime.now(UTC)
    )
