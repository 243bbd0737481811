"""What an operator does to submissions: forms on their pages, the same as JSON. petsong/web/desk/actions.py does it."""
import logging
from typing import Any

from flask import Response, jsonify, redirect, render_template, request, url_for
from pydantic import ValidationError
from werkzeug.wrappers import Response as AnyResponse

from petsong import retention
from petsong.erasure import Receipt, erase_visitor
from petsong.lifecycle.claims import ClaimLost
from petsong.lifecycle.operator import ImpossibleMove
from petsong.models import find_submission
from petsong.openapi import documented
from petsong.schemas import messages_of
from petsong.web.bodies import json_object, read_json_body
from petsong.web.desk import actions, search
from petsong.web.desk.guard import DeskError, desk_api, desk_blueprint, message_page, operator_name
from petsong.web.desk.search import Filter, WrongParameters
from petsong.web.desk.submission_answers import (
    ActionDone,
    Erased,
    Orphans,
    Reason,
    ReceiptAnswer,
    RetriedAll,
    RetryAll,
    RetryCost,
    Whose,
)
from petsong.web.desk.submissions import row_or_404
from petsong.web.errors import ApiError, session_not_found, unavailable, validation_failed
from petsong.web.extension import parts

log = logging.getLogger(__name__)
pages = desk_blueprint("changes")
api = desk_api("changes")
blueprints = (pages, api)
MOST_BYTES = 4096
MOST_ORPHANS = 1000
REFUSALS = (ImpossibleMove, ClaimLost)


# ---- one submission, pages

@pages.get("/submissions/<session_id>/<any(cancel,delete):action>")
def confirm(session_id: str, action: str) -> str:
    row = row_or_404(session_id)
    return render_template("admin/confirm.html", row=row, action=action, possible=action in actions.possible(row))


@pages.post("/submissions/<session_id>/<any(retry,cancel,rerender,delete):action>")
def change(session_id: str, action: str) -> AnyResponse:
    row_or_404(session_id)
    back = url_for("desk_submissions.one_page", session_id=session_id)
    try:
        _do(session_id, action)
    except REFUSALS as error:
        raise DeskError(409, "That is not possible now", str(error), back=back) from error
    except OSError as error:
        _could_not_remove(session_id, error)
        raise DeskError(503, "Not everything could be removed", NOT_REMOVED, back=back) from error
    return redirect(f"{back}?did={action}", 303)


NOT_REMOVED = "A file could not be removed, so its row still names it. See the log, then delete again: that goes on."


def _do(session_id: str, action: str) -> None:
    if action == "delete":
        actions.delete(session_id, operator_name())
    else:
        actions.ON_THE_ROW[action](session_id, operator_name())


def _could_not_remove(session_id: str, error: OSError) -> None:
    log.error("could not remove files", extra={"session_id": session_id, "error": type(error).__name__})


# ---- all of one reason, pages

@pages.get("/retry-all")
def confirm_all() -> str:
    reason = _reason(request.args.get("reason", ""))
    return render_template("admin/retry_all.html", cost=RetryCost.of(reason, actions.estimate(reason)))


@pages.post("/retry-all")
def change_all() -> AnyResponse:
    reason, agreed = _reason(request.form.get("reason", "")), request.form.get("most_credits", "")
    if not agreed.isascii() or not agreed.isdecimal() or len(agreed) > 10:
        raise _no_form()
    here = url_for(".confirm_all", reason=reason)
    try:
        retried, left = actions.retry_all(reason, operator_name(), int(agreed))
    except ImpossibleMove as error:
        raise DeskError(409, "It would cost more by now", str(error), back=here) from error
    words = f"{retried} of them go on." + (f" {left} are left: look again and go on." if left else "")
    return message_page(200, "Retried", words, back=here if left else "/admin/submissions", back_label="Go on")


def _reason(given: str) -> str:
    try:
        reason = search.read(Filter, {"reason": given}).reason
    except WrongParameters as error:
        raise DeskError(400, "That reason is not one", error.fields["reason"]) from None
    if not reason:
        raise DeskError(400, "Which reason?", "Filter the submissions by a reason first.")
    return reason


def _no_form() -> DeskError:
    return DeskError(400, "Nothing was done", "That form was not ours. Open the page again.")


# ---- the same as JSON

@api.post("/submissions/<session_id>/<any(retry,cancel,rerender):action>")
@documented(
    "Retry, cancel or re-render a submission", tag="Operator", login=True, answers={200: ActionDone},
    errors=("session_not_found", "not_possible"),
    details="Each may be repeated; what has happened before is answered with `changed: false`. retry: a failed one goes on at "
            "its first missing artefact, and the service is asked about old orders before a new one is paid. cancel: one on "
            "its way fails as `cancelled`. rerender: a finished one's video is made anew; visitors see the old one until then.",
)
def change_json(session_id: str, action: str) -> Response:
    _known(session_id)
    try:
        return jsonify(ActionDone.of(actions.ON_THE_ROW[action](session_id, operator_name())).model_dump())
    except REFUSALS as error:
        raise _not_possible(error) from error


@api.post("/submissions/<session_id>/delete")
@documented(
    "Delete a submission's files and personal data", tag="Operator", login=True, answers={200: Erased},
    errors=("session_not_found", "unavailable"),
    details="At once, in any stage; one on its way ends first. The row stays as a statistic. A repeat removes what came late.",
)
def delete_json(session_id: str) -> Response:
    _known(session_id)
    try:
        return _receipts([actions.delete(session_id, operator_name())])
    except OSError as error:
        _could_not_remove(session_id, error)
        raise unavailable() from error


@api.post("/erase")
@documented(
    "Erase a song, or all songs of a visitor", tag="Operator", login=True, request=Whose, answers={200: Erased},
    errors=("validation_failed", "session_not_found", "too_large", "unavailable"),
)
def erase_json() -> Response:
    whose, shared = _body(Whose), parts()
    if bool(whose.session_id) == bool(whose.cookie_id):
        raise validation_failed("Give either session_id or cookie_id.")
    if whose.session_id:
        return delete_json(whose.session_id)
    try:
        return _receipts(erase_visitor(
            shared.settings, shared.storage, shared.queues, str(whose.cookie_id), who=operator_name()
        ))
    except OSError as error:
        _could_not_remove("", error)
        raise unavailable() from error


@api.get("/retry-all")
@documented(
    "What retrying all of one reason may cost", tag="Operator", login=True, query=Reason, answers={200: RetryCost},
    errors=("validation_failed",),
)
def retry_cost_json() -> Response:
    try:
        reason = search.read(Filter, {"reason": request.args.get("reason", "")}).reason
    except WrongParameters as error:
        raise validation_failed(error.fields["reason"], error.fields) from None
    if not reason:
        raise validation_failed(search.MESSAGES["reason"], {"reason": search.MESSAGES["reason"]})
    return jsonify(RetryCost.of(reason, actions.estimate(reason)).model_dump())


@api.post("/retry-all")
@documented(
    "Retry all that failed for one reason", tag="Operator", login=True, request=RetryAll, answers={200: RetriedAll},
    errors=("validation_failed", "not_possible", "too_large"),
    details="409 where they may cost more than `most_credits` by now; then none goes on.",
)
def retry_all_json() -> Response:
    wanted = _body(RetryAll)
    try:
        retried, left = actions.retry_all(wanted.reason, operator_name(), wanted.most_credits)
    except ImpossibleMove as error:
        raise _not_possible(error) from error
    return jsonify(RetriedAll(reason=wanted.reason, retried=retried, remaining=left).model_dump())


@api.get("/orphans")
@documented("Files without rows, rows without files", tag="Operator", login=True, answers={200: Orphans})
def orphans_json() -> Response:
    storage = parts().storage
    return jsonify(Orphans(
        files_without_row=[key for key, _ in zip(retention.orphans(storage), range(MOST_ORPHANS), strict=False)],
        rows_without_file=[
            {"session_id": session_id, "key": key}
            for (session_id, key), _ in zip(retention.missing(storage), range(MOST_ORPHANS), strict=False)
        ],
    ).model_dump())


def _known(session_id: str) -> None:
    if find_submission(session_id) is None:
        raise session_not_found()


def _not_possible(error: Exception) -> ApiError:
    return ApiError(409, "not_possible", "Not possible", str(error))


def _receipts(receipts: list[Receipt]) -> Response:
    return jsonify(Erased(receipts=[ReceiptAnswer.of(receipt) for receipt in receipts]).model_dump(mode="json"))


def _body(model: Any) -> Any:
    """What the request says, as this model. Raises ApiError validation_failed."""
    try:
        return model.model_validate(json_object(read_json_body(MOST_BYTES)), strict=True)
    except ValidationError as error:
        fields = messages_of(error.errors(include_url=False, include_context=False, include_input=False))
        raise validation_failed(next(iter(fields.values())), fields) from None
