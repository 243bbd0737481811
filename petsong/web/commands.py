"""The operator's commands: `flask --app wsgi show ID`, `retry ID`, `check-service`; each takes --json.

Exit codes: 0 done, 1 it cannot be done (one line says why and what helps), 2 wrong arguments. Names, lyrics and tokens
are never printed, so that an answer may go into a ticket as it is.
"""
import functools
import getpass
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import click
from flask import Flask
from flask.cli import with_appcontext

from petsong import database
from petsong.lifecycle import breaker, operator
from petsong.lifecycle.claims import ClaimLost
from petsong.lifecycle.recovery import due_jobs_of
from petsong.lifecycle.stages import ENDS, Stage
from petsong.models import Attempt, Event, WebhookReceipt, find_submission
from petsong.schemas import iso
from petsong.settings import Settings
from petsong.sonauto import SongService
from petsong.storage import StorageError
from petsong.web.extension import parts

# The service was renamed; an account may be reached at either address.
BASE_ADDRESSES = ("https://api.treblo.com/v1", "https://api.sonauto.ai/v1")
LINE = 300  # characters of a detail in the text; --json has all of it


class Refused(Exception):
    """One line for the operator: why not, and what helps."""


def register(app: Flask) -> None:
    for command in (show, retry, check_service):
        app.cli.add_command(command)


def _command(name: str) -> Callable[[Callable[..., tuple[Any, str]]], click.Command]:
    """A command with a database connection; its function returns what --json prints and what people read."""

    def wrap(function: Callable[..., tuple[Any, str]]) -> click.Command:
        @click.option("--json", "as_json", is_flag=True, help="Print one JSON line.")
        @with_appcontext
        @functools.wraps(function)
        def run(as_json: bool, **arguments: str) -> None:
            try:
                with database.connection():
                    data, text = function(**arguments)
            except (Refused, operator.ImpossibleMove, ClaimLost, database.DatabaseLost) as error:
                _refuse(str(error), as_json)
            click.echo(json.dumps(data) if as_json else text)

        return click.command(name)(run)

    return wrap


def _refuse(message: str, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"success": False, "error": message}))
    raise SystemExit(1) if as_json else click.ClickException(message)


# ---- show

@_command("show")
@click.argument("session_id")
def show(session_id: str) -> tuple[Any, str]:
    """What happened to a song, and what it waits for."""
    row = find_submission(session_id)
    if row is None:
        raise Refused(f"There is no submission {session_id}; its id is the last part of its page's address.")
    data = {
        "submission": _submission(row), "sending_paused": _pause(row), "attempts": _attempts(session_id),
        "webhook_receipts": _receipts(session_id), "files": _files(row), "events": _events(session_id),
    }
    return data, "\n".join(_as_text(data))


def _time(moment: datetime | None) -> str | None:
    return iso(moment) if moment else None


def _submission(row: Any) -> dict[str, Any]:
    return {
        "session_id": row.session_id, "campaign": row.campaign, "created_at": _time(row.created_at), "stage": row.stage,
        "entry_status": row.entry_status, "stage_since": _time(row.stage_since), "fail_reason": row.fail_reason,
        "tries": row.tries, "refusals": row.retry_count, "claim_no": row.claim_no,
        "lease_until": _time(row.lease_until), "held_by": row.lease_holder, "next_check_at": _time(row.next_check_at),
        "wants": due_jobs_of(row.session_id) or None, "task_id": row.llm_task_id, "service_status": row.llm_status,
        "audio_seconds": row.audio_seconds, "files_removed_at": _time(row.files_removed_at),
    }


def _pause(row: Any) -> dict[str, Any] | None:
    """Why nothing is sent at the moment, where the row waits for that."""
    tripped = breaker.state() if row.stage in (Stage.QUEUED, Stage.SENDING) else None
    if tripped is None:
        return None
    return {"since": _time(tripped.since), "next_probe_at": _time(tripped.retry_at), "reason": tripped.reason}


def _attempts(session_id: str) -> list[dict[str, Any]]:
    found = Attempt.select().where(Attempt.submission == session_id).order_by(Attempt.number)
    return [
        {
            "number": a.number, "flagged": a.flagged, "claimed_at": _time(a.claimed_at),
            "call_started_at": _time(a.call_started_at), "outcome": a.outcome, "detail": a.outcome_detail,
            "task_id": a.task_id, "task_hint": a.task_hint, "ended_at": _time(a.ended_at), "ended_as": a.ended_as,
            "credits": a.credits,
        }
        for a in found
    ]


def _receipts(session_id: str) -> list[dict[str, Any]]:
    found = (
        WebhookReceipt.select(WebhookReceipt, Attempt).join(Attempt)
        .where(Attempt.submission == session_id).order_by(WebhookReceipt.at, WebhookReceipt.id)
    )
    return [{"at": _time(r.at), "attempt": r.attempt.number, "outcome": r.outcome} for r in found]


def _files(row: Any) -> list[dict[str, Any]]:
    named = [("photo", row.photo_path), ("song", row.generated_song_path), ("video", row.generated_video_path)]
    named += [(rendition.kind, rendition.path) for rendition in row.renditions]
    return [{"kind": kind, "key": key, "bytes": _size(key)} for kind, key in named if key]


def _size(key: str) -> int | None:
    """None where the file is not there."""
    try:
        facts = parts().storage.stat(key)
    except StorageError:
        return None
    return facts.size if facts else None


def _events(session_id: str) -> list[dict[str, Any]]:
    found = Event.select().where(Event.submission == session_id).order_by(Event.at, Event.id)
    return [
        {
            "at": _time(e.at), "from": e.from_stage, "to": e.to_stage, "reason": e.reason, "attempt": e.attempt,
            "claim_no": e.claim_no, "detail": e.detail,
        }
        for e in found
    ]


# ---- the same for people

def _as_text(data: dict[str, Any]) -> Iterator[str]:
    s = data["submission"]
    reason = f" ({s['fail_reason']})" if s["fail_reason"] else ""
    yield f"{s['session_id']}  {s['stage']}{reason} since {s['stage_since']}"
    yield f"  created {s['created_at']}, campaign {s['campaign']}, try {s['tries']}, refusals {s['refusals']}"
    yield f"  {_next_step(s)}"
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


def _next_step(s: dict[str, Any]) -> str:
    if s["files_removed_at"]:
        return f"expired: its files and names were removed at {s['files_removed_at']}"
    if s["stage"] in ENDS:
        return "over" if s["stage"] == Stage.DONE else "over; `retry` gives it a new life at its first missing artefact"
    if s["lease_until"]:
        return f"a worker holds it until {s['lease_until']} ({s['held_by'] or 'no job named'})"
    if s["wants"]:
        return f"due: wants {s['wants']}, which the next sweep enqueues where it is not waiting yet"
    if s["stage"] == Stage.QUEUED:
        return "waits for a free slot, for credits, or for the service"
    if s["next_check_at"]:
        return f"due again at {s['next_check_at']}"
    return "nothing is due: waits for its webhook, or until the order may be repeated (UNKNOWN_AFTER_MINUTES)"


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

@_command("retry")
@click.argument("session_id")
@click.option("--who", default=lambda: _user(), help="Your name, for the timeline; default: the system's.")
def retry(session_id: str, who: str) -> tuple[Any, str]:
    """Let a failed song go on; nothing is paid twice."""
    row = find_submission(session_id)
    song = row.generated_song_path if row else ""
    has_song = bool(song) and _size(str(song)) is not None
    stage = operator.retry(session_id, who=who, has_song=has_song)
    job = due_jobs_of(session_id)
    enqueued = parts().queues.enqueue(job, session_id) if job else parts().queues.enqueue("process_pending_queue")
    data = {"success": True, "session_id": session_id, "stage": stage, "job": job or None, "enqueued": enqueued}
    queues = "" if enqueued else " Redis does not answer; the sweep enqueues it once it does."
    return data, f"{session_id} goes on in {stage}.{queues}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return "operator"


# ---- check-service

@_command("check-service")
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


def unreachable(settings: Settings) -> str:
    others = [address for address in BASE_ADDRESSES if address != settings.external_api_url]
    key = "SONAUTO_API_KEY is empty" if not settings.sonauto_api_key else "SONAUTO_API_KEY may be wrong"
    return (
        f"{settings.external_api_url}/credits/balance does not name a balance (the log says what it answered). "
        f"{key}, or the service is elsewhere: try EXTERNAL_API_URL={' or '.join(others)}"
    )
