"""The outbox's way out, and the look at everything that the operator should hear of."""
import logging
import time

from jobs.tools import Tools, tools
from jobs.wrapper import job, recorded, without_database
from petsong import alerts, outbox, outgoing
from petsong.outbox import Outcome
from petsong.pools import mark

log = logging.getLogger(__name__)
RUN_SECONDS = 20.0  # then the other periodic jobs have their turn


@job
def deliver_outbox() -> None:
    """What is due, the oldest first. Where a receiver does not answer, its other messages wait for the next run."""
    t, ends, deaf = tools(), time.monotonic() + RUN_SECONDS, set[str]()
    messages = outbox.due()
    for message in messages:
        if time.monotonic() > ends:
            break
        if message.destination not in deaf and not _deliver(t, message):
            deaf.add(message.destination)
    else:
        if len(messages) < outbox.BATCH:
            return
    t.queues.enqueue("deliver_outbox")


def _deliver(t: Tools, message: outbox.OutboxMessage) -> bool:
    """Whether the receiver can take more."""
    receiver = outgoing.receiver_of(t.settings, message.destination)
    if receiver is None:
        outbox.put_aside(message, f"no {message.destination.upper()}_WEBHOOK_URL is set")
        return True
    if not outbox.claim(message):
        return True  # another deliverer has it
    with without_database():
        outcome = outgoing.send(t.settings, receiver, message)
    state = recorded(lambda: outbox.settle(message, outcome))
    _tell(message, outcome, state)
    return outbox.can_take_more(outcome)


def _tell(message: outbox.OutboxMessage, outcome: Outcome, state: str) -> None:
    facts = {"message_id": message.id, "kind": message.kind, "state": state, "status": outcome.status}
    if state == outbox.GIVEN_UP:
        log.error("webhook given up", extra=facts)
    elif state != outbox.DELIVERED:
        log.warning("webhook not delivered", extra=facts)


@job
def check_alerts() -> None:
    mark("check_alerts")
    alerts.evaluate(tools().settings)
