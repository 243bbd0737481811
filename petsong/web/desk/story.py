"""What happened to one song: its orders, webhooks, files and moves. No names, no lyrics, no tokens: it may go into a ticket."""
from datetime import datetime
from typing import Any

from petsong.lifecycle import breaker
from petsong.lifecycle.recovery import due_jobs_of
from petsong.lifecycle.stages import ENDS, Stage
from petsong.models import Attempt, Event, WebhookReceipt
from petsong.schemas import iso
from petsong.storage import StorageError
from petsong.web.extension import parts


def story(row: Any) -> dict[str, Any]:
    """Everything in plain values; times are ISO 8601 in UTC."""
    return {
        "submission": _submission(row), "sending_paused": _pause(row), "attempts": _attempts(row.session_id),
        "webhook_receipts": _receipts(row.session_id), "files": _files(row), "events": _events(row.session_id),
    }


def next_step(s: dict[str, Any]) -> str:
    """What the `submission` of a story waits for."""
    if s["files_removed_at"]:
        return f"expired: its files and names were removed at {s['files_removed_at']}"
    if s["rerender_at"]:
        return "over; its video is to be made anew"
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


def size_of(key: str) -> int | None:
    """Bytes; None where the file is not there."""
    try:
        facts = parts().storage.stat(key)
    except StorageError:
        return None
    return facts.size if facts else None


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
        "rerender_at": _time(row.rerender_at),
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
    return [{"kind": kind, "key": key, "bytes": size_of(key)} for kind, key in named if key]


def _events(session_id: str) -> list[dict[str, Any]]:
    found = Event.select().where(Event.submission == session_id).order_by(Event.at, Event.id)
    return [
        {
            "at": _time(e.at), "from": e.from_stage, "to": e.to_stage, "reason": e.reason, "attempt": e.attempt,
            "claim_no": e.claim_no, "detail": e.detail,
        }
        for e in found
    ]
