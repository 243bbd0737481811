"""The operator's commands: `flask --app wsgi show ID`, `retry ID`, `check-service`; each takes --json.

Exit codes: 0 done, 1 it cannot be done (one line says why and what helps), 2 wrong arguments. Names, lyrics and tokens
are never printed, so that an answer may go into a ticket as it is.
"""
from collections.abc import Iterator
from typing import Any

import click
from flask import Flask

from petsong.doctor import unreachable
from petsong.models import find_submission
from petsong.sonauto import SongService
from petsong.web.cli import Refused, command, user
from petsong.web.desk import actions
from petsong.web.desk.commands import COMMANDS as DESK_COMMANDS
from petsong.web.desk.outbox_commands import COMMANDS as OUTBOX_COMMANDS
from petsong.web.desk.story import next_step, story
from petsong.web.desk.switch_commands import COMMANDS as SWITCH_COMMANDS
from petsong.web.doctor_command import doctor
from petsong.web.extension import parts

LINE = 300  # characters of a detail in the text; --json has all of it


def register(app: Flask) -> None:
    for made in (show, retry, check_service, doctor, *DESK_COMMANDS, *SWITCH_COMMANDS, *OUTBOX_COMMANDS):
        app.cli.add_command(made)


# ---- show

@command("show")
@click.argument("session_id")
def show(session_id: str) -> tuple[Any, str]:
    """What happened to a song, and what it waits for."""
    row = find_submission(session_id)
    if row is None:
        raise Refused(f"There is no submission {session_id}; its id is the last part of its page's address.")
    data = story(row)
    return data, "\n".join(_as_text(data))


# ---- the same for people

def _as_text(data: dict[str, Any]) -> Iterator[str]:
    s = data["submission"]
    reason = f" ({s['fail_reason']})" if s["fail_reason"] else ""
    yield f"{s['session_id']}  {s['stage']}{reason} since {s['stage_since']}"
    yield f"  created {s['created_at']}, campaign {s['campaign']}, try {s['tries']}, refusals {s['refusals']}"
    yield f"  {next_step(s)}"
    if pause := data["sending_paused"]:
        yield f"  sending pauses since {pause['since']}, next probe {pause['next_probe_at']}: {_short(pause['reason'])}"
    yield from _section("attempts", [_attempt_line(attempt) for attempt in data["attempts"]])
    receipts = [f"{r['at']}  attempt {r['attempt']}  {r['outcome']}" for r in data["webhook_receipts"]]
    yield from _section("webhook receipts", receipts)
    yield from _section("files", [_file_line(file) for file in data["files"]])
    yield from _section("timeline", [_event_line(event) for event in data["events"]])


def _section(title: str, lines: list[str]) -> Iterator[str]:
    yield f"{title}:" if lines else f"{title}: none"
    yield from (f"  {line}" for line in lines)


def _file_line(f: dict[str, Any]) -> str:
    size = "missing" if f["bytes"] is None else f"{f['bytes']} bytes"
    return f"{f['kind']:<8} {f['key']}  {size}"


def _attempt_line(a: dict[str, Any]) -> str:
    facts = [f"{a['number']}  {a['outcome'] or 'no answer yet'}"]
    facts += ["flagged: an earlier one may have been accepted"] if a["flagged"] else []
    facts += [f"called {a['call_started_at']}"] if a["call_started_at"] else ["not called yet"]
    facts += [f"task {a['task_id']}"] if a["task_id"] else []
    facts += [f"hint {a['task_hint']}"] if a["task_hint"] else []
    facts += [f"ended {a['ended_at']} as {a['ended_as']}, {a['credits']} credits"] if a["ended_at"] else []
    facts += [_short(a["detail"])] if a["detail"] else []
    return "  ".join(facts)


def _event_line(e: dict[str, Any]) -> str:
    move = e["to"] if e["from"] == e["to"] else f"{e['from']} -> {e['to']}"
    attempt = f"attempt {e['attempt']}" if e["attempt"] else ""
    return "  ".join(filter(None, [e["at"], move, e["reason"], attempt, _short(e["detail"])]))


def _short(detail: str) -> str:
    text = " ".join(detail.split())
    return text if len(text) <= LINE else f"… {text[-LINE:]}"  # ffmpeg and tracebacks name the cause last


# ---- retry

@command("retry")
@click.argument("session_id")
@click.option("--who", default=lambda: user(), help="Your name, for the timeline; default: the system's.")
def retry(session_id: str, who: str) -> tuple[Any, str]:
    """Let a failed song go on; nothing is paid twice."""
    found = actions.retry(session_id, who)
    data = {
        "success": True, "session_id": session_id, "stage": found.stage, "job": found.job, "enqueued": found.enqueued,
    }
    queues = "" if found.enqueued else " Redis does not answer; the sweep enqueues it once it does."
    again = "" if found.changed else " already"
    return data, f"{session_id} goes on{again} in {found.stage}.{queues}"


# ---- check-service

@command("check-service")
def check_service() -> tuple[Any, str]:
    """Ask the song service for the credits."""
    settings = parts().settings
    service = SongService(settings.external_api_url, settings.sonauto_api_key, settings.api_request_timeout_seconds)
    usable = service.balance()
    if usable is None:
        raise Refused(unreachable(settings))
    songs = usable // settings.song_price_credits if settings.song_price_credits else None
    data = {"success": True, "address": settings.external_api_url, "usable_credits": usable, "songs": songs}
    enough = "" if songs is None else f", enough for {songs} songs"
    return data, f"{settings.external_api_url} answers: {usable} credits{enough}."
