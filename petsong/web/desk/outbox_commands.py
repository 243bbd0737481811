"""The outbox as commands: `flask --app wsgi outbox`, `redeliver ID`; each takes --json."""
from typing import Any

import click

from petsong import outbox
from petsong.outbox import NotPossible
from petsong.web.cli import Refused, command, user
from petsong.web.desk.outbox import find
from petsong.web.desk.outbox_answers import STATES, OutboxQuery
from petsong.web.desk.words import stamp
from petsong.web.extension import parts


@command("outbox")
@click.option("--state", type=click.Choice(STATES), default=None, help="Default: any.")
@click.option("--page", type=click.IntRange(1, 100_000), default=1, help="1: the newest messages.")
def list_outbox(state: str | None, page: int) -> tuple[Any, str]:
    """What leaves us: alerts and events, and how their delivery goes."""
    found = find(OutboxQuery.model_validate({"state": state or "", "page": page}))
    lines = [
        f"{stamp(m.created_at)}  {m.id}  {m.kind:<22} {m.state:<10} {m.tries:>3}  {m.last_answer}".rstrip()
        for m in found.messages
    ]
    return found.model_dump(mode="json"), "\n".join(lines or ["nothing"])


@command("redeliver")
@click.argument("message_id")
@click.option("--who", default=lambda: user(), help="Your name, for the delivery log; default: the system's.")
def redeliver(message_id: str, who: str) -> tuple[Any, str]:
    """Send a message of the outbox again."""
    try:
        outbox.redeliver(message_id, who=who)
    except NotPossible as error:
        raise Refused(str(error)) from error
    parts().queues.enqueue("deliver_outbox")
    return {"success": True, "id": message_id}, f"{message_id} goes out again."


COMMANDS = (list_outbox, redeliver)
