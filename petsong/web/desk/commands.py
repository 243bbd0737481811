"""The desk's abilities as commands: `flask --app wsgi submissions|retry-all|cancel|delete|rerender|export|erase|orphans`."""
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from petsong import retention
from petsong.erasure import Receipt, erase_visitor
from petsong.schemas import iso
from petsong.web.cli import Refused, command, user
from petsong.web.desk import actions, search
from petsong.web.desk.export import lines
from petsong.web.desk.search import Filter, Listing, WrongParameters
from petsong.web.desk.submission_answers import ReceiptAnswer, RetryCost
from petsong.web.extension import parts

FILTERS = ("status", "stage", "reason", "campaign", "from_date", "to_date", "prefix")
who_option = click.option("--who", default=lambda: user(), help="Your name, for the timeline; default: the system's.")


def filtered(function: Callable[..., Any]) -> Callable[..., Any]:
    """The list's filters as options: --status, --stage, --reason, --campaign, --from-date, --to-date, --prefix."""
    for name in reversed(FILTERS):
        function = click.option(f"--{name.replace('_', '-')}", name, default="", help=search.MESSAGES[name])(function)
    return function


def _read(kind: type[search.Wanted], given: dict[str, Any]) -> search.Wanted:
    try:
        return search.read(kind, {name: str(value) for name, value in given.items()})
    except WrongParameters as error:
        raise Refused("; ".join(f"--{name.replace('_', '-')}: {text}" for name, text in error.fields.items())) from None


# ---- looking

@command("submissions")
@filtered
@click.option("--page", default="1", help=search.MESSAGES["page"])
@click.option("--page-size", default="50", help=search.MESSAGES["page_size"])
def submissions(**given: str) -> tuple[Any, str]:
    """List submissions, newest first, without names."""
    wanted = _read(Listing, given)
    total = search.count(wanted)
    listed = [
        {"session_id": row.session_id, "created_at": iso(row.created_at), "campaign": row.campaign,
         "status": row.entry_status, "stage": row.stage, "stage_since": iso(row.stage_since), "reason": row.fail_reason}
        for row in search.one_page(wanted, total)
    ]
    pages = -(-total // wanted.page_size)
    data = {"total": total, "page": wanted.page, "page_size": wanted.page_size, "total_pages": pages, "submissions": listed}
    text = [f"{s['created_at']}  {s['session_id']:<26} {s['stage']:<12} {s['reason'] or ''}".rstrip() for s in listed]
    return data, "\n".join([*text, f"{total} in all, page {wanted.page} of {pages}"])


@command("export")
@filtered
@click.option("--output", type=click.Path(dir_okay=False, writable=True, path_type=Path), help="A file; default: print it.")
def export(output: Path | None, **given: str) -> tuple[Any, str]:
    """The list as CSV, with names."""
    wanted = _read(Filter, given)
    if output is None:
        text = "".join(lines(wanted))
        return {"csv": text}, text.rstrip("\r\n")
    with output.open("w", encoding="utf-8", newline="") as file:
        file.writelines(lines(wanted))
    return {"success": True, "file": str(output)}, f"Written to {output}."


@command("orphans")
def orphans() -> tuple[Any, str]:
    """Files without rows (an hour old), and rows without files."""
    storage = parts().storage
    files = list(retention.orphans(storage))
    rows = [{"session_id": session_id, "key": key} for session_id, key in retention.missing(storage)]
    text = [f"file without a row: {key}" for key in files]
    text += [f"row without its file: {row['session_id']}  {row['key']}" for row in rows]
    data = {"files_without_row": files, "rows_without_file": rows}
    return data, "\n".join(text or ["Every file has its row, and every row its files."])


# ---- doing

@command("cancel")
@click.argument("session_id")
@who_option
def cancel(session_id: str, who: str) -> tuple[Any, str]:
    """End a submission that is on its way, as failed."""
    return _told(actions.cancel(session_id, who))


@command("rerender")
@click.argument("session_id")
@who_option
def rerender(session_id: str, who: str) -> tuple[Any, str]:
    """Make a finished song's video anew; the old one is shown until then."""
    return _told(actions.rerender(session_id, who))


def _told(found: actions.Outcome) -> tuple[Any, str]:
    data = {"success": True, "session_id": found.session_id, "changed": found.changed, "stage": found.stage}
    return data, f"{found.session_id}: {found.message}"


@command("retry-all")
@click.option("--reason", required=True, help="The failure's code, such as service_failed.")
@click.option("--most-credits", type=click.IntRange(min=0), help="Agree to spend so many; without it nothing is done.")
@who_option
def retry_all(reason: str, most_credits: int | None, who: str) -> tuple[Any, str]:
    """Let all that failed for one reason go on; first says what it may cost."""
    reason = _read(Filter, {"reason": reason}).reason or ""
    cost = RetryCost.of(reason, actions.estimate(reason))
    if most_credits is None:
        words = (
            f"{cost.submissions} failed for {reason}: {cost.pays} would order a new song, {cost.may_pay} might, {cost.free} go "
            f"on for nothing. From {cost.least_credits} to {cost.most_credits} credits. "
            f"To do it: retry-all --reason {reason} --most-credits {cost.most_credits}"
        )
        return cost.model_dump(), words
    retried, left = actions.retry_all(reason, who, most_credits)
    more = f" {left} are left: run it again." if left else ""
    return {"success": True, "reason": reason, "retried": retried, "remaining": left}, f"{retried} go on.{more}"


@command("delete")
@click.argument("session_id")
@who_option
def delete(session_id: str, who: str) -> tuple[Any, str]:
    """Remove a submission's files and personal data at once."""
    return _receipts([_delete(session_id, who)])


@command("erase")
@click.option("--session", "session_id", help="One song.")
@click.option("--cookie", "cookie_id", help="All songs of a visitor.")
@who_option
def erase(session_id: str | None, cookie_id: str | None, who: str) -> tuple[Any, str]:
    """Remove a person's data at once: of a song, or of all songs of a visitor."""
    if bool(session_id) == bool(cookie_id):
        raise click.UsageError("Give either --session ID or --cookie ID.")
    if session_id:
        return _receipts([_delete(session_id, who)])
    shared = parts()
    try:
        return _receipts(erase_visitor(shared.settings, shared.storage, shared.queues, str(cookie_id), who=who))
    except OSError as error:
        raise _not_removed(error) from error


def _delete(session_id: str, who: str) -> Receipt:
    try:
        return actions.delete(session_id, who)
    except OSError as error:
        raise _not_removed(error) from error


def _not_removed(error: OSError) -> Refused:
    return Refused(f"A file could not be removed ({error.strerror or type(error).__name__}). Run it again once that is mended.")


def _receipts(receipts: list[Receipt]) -> tuple[Any, str]:
    data = [ReceiptAnswer.of(receipt).model_dump(mode="json") for receipt in receipts]
    text = [
        f"{r.session_id}  erased {iso(r.erased_at)}{' before' if r.already else ''}, {r.files} files, "
        + ("Redis is away: its messages go by age" if r.messages is None else f"{r.messages} messages")
        for r in receipts
    ]
    return {"success": True, "receipts": data}, "\n".join(text or ["There is nothing of this visitor."])


COMMANDS = (submissions, export, orphans, cancel, rerender, retry_all, delete, erase)
