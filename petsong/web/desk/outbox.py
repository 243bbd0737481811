"""The outbox: what left us, what waits, what was given up; each can be sent again. /admin/outbox and /api/admin/outbox."""
import json
from typing import Any

from flask import Response, abort, jsonify, redirect, render_template, request, url_for
from pydantic import ValidationError
from werkzeug.wrappers import Response as AnyResponse

from petsong import database, outbox, outgoing
from petsong.models import Delivery, OutboxMessage
from petsong.openapi import documented
from petsong.outbox import NotPossible
from petsong.schemas import messages_of
from petsong.web.desk.guard import DeskError, desk_api, desk_blueprint, operator_name
from petsong.web.desk.outbox_answers import (
    STATES,
    DeliveryFigures,
    MessageDetails,
    MessageFigures,
    OutboxPage,
    OutboxQuery,
    Redelivered,
)
from petsong.web.desk.words import teach
from petsong.web.errors import ApiError, validation_failed
from petsong.web.extension import parts

MOST_TRIES_SHOWN = 100

pages = desk_blueprint("outbox")
api = desk_api("outbox")
blueprints = (pages, api)
teach(pages)


def find(wanted: OutboxQuery) -> OutboxPage:
    """One page, newest first. No totals: nobody needs them, and in a big table they cost most."""
    query = OutboxMessage.select().order_by(OutboxMessage.created_at.desc(), OutboxMessage.id)
    if wanted.state:
        query = query.where(OutboxMessage.state == wanted.state)
    if wanted.destination:
        query = query.where(OutboxMessage.destination == wanted.destination)
    rows = list(query.limit(wanted.page_size + 1).offset((wanted.page - 1) * wanted.page_size))
    shown = [MessageFigures.model_validate(row) for row in rows[:wanted.page_size]]
    return OutboxPage(
        messages=shown, page=wanted.page, page_size=wanted.page_size, more=len(rows) > wanted.page_size,
        waiting={name: number for name, (number, _) in outbox.backlog().items()},
    )


def details(message_id: str) -> MessageDetails | None:
    """A message with its tries, newest first."""
    row = OutboxMessage.get_or_none(OutboxMessage.id == message_id[:64].replace("\x00", ""))
    if row is None:
        return None
    tries = Delivery.select().where(Delivery.message == row.id).order_by(Delivery.id.desc()).limit(MOST_TRIES_SHOWN)
    return MessageDetails(
        message=MessageFigures.model_validate(row), body=json.loads(outgoing.body_of(parts().settings, row)),
        deliveries=[DeliveryFigures.model_validate(entry) for entry in tries],
    )


# ---- pages

@pages.get("/outbox")
def list_page() -> str:
    try:
        wanted = OutboxQuery.model_validate({key: value for key, value in request.args.items() if value})
    except ValidationError:
        abort(400)
    settings = parts().settings
    receivers = {name: outgoing.receiver_of(settings, name) is not None for name in (outbox.ALERT, outbox.EVENT)}
    return render_template(
        "admin/outbox.html", found=find(wanted), wanted=wanted, states=STATES, receivers=receivers,
        alerts=outbox.open_alerts(), now=database.now(),
    )


@pages.get("/outbox/<message_id>")
def one_page(message_id: str) -> str:
    found = details(message_id)
    if found is None:
        abort(404)
    body = json.dumps(found.body, ensure_ascii=False, indent=2)
    return render_template("admin/outbox_message.html", found=found, body=body, now=database.now())


@pages.post("/outbox/<message_id>/redeliver")
def redeliver_page(message_id: str) -> AnyResponse:
    if details(message_id) is None:
        abort(404)
    back = url_for(".one_page", message_id=message_id)
    try:
        outbox.redeliver(message_id, who=operator_name())
    except NotPossible as error:
        raise DeskError(409, "That is not possible now", str(error), back=back) from error
    return redirect(back, 303)


# ---- the API

@api.get("/outbox")
@documented("What leaves us, newest first", tag="Operator", login=True, query=OutboxQuery, answers={200: OutboxPage},
            errors=("validation_failed",))
def list_json() -> Response:
    try:
        wanted = OutboxQuery.model_validate(request.args.to_dict())
    except ValidationError as error:
        fields = messages_of(error.errors(include_url=False, include_context=False, include_input=False))
        raise validation_failed(next(iter(fields.values())), fields) from None
    return jsonify(find(wanted).model_dump(mode="json"))


@api.get("/outbox/<message_id>")
@documented("One message with its delivery log", tag="Operator", login=True, answers={200: MessageDetails})
def one_json(message_id: str) -> Response:
    return jsonify(_details_or_404(message_id).model_dump(mode="json"))


@api.post("/outbox/<message_id>/redeliver")
@documented("Send a message again", tag="Operator", login=True, answers={200: Redelivered}, errors=("not_possible",),
            details="With the same webhook-id. One that waits for its next try is refused.")
def redeliver_json(message_id: str) -> Response:
    _details_or_404(message_id)
    try:
        outbox.redeliver(message_id, who=operator_name())
    except NotPossible as error:
        raise ApiError(409, "not_possible", "Not possible", str(error)) from error
    return jsonify(Redelivered(id=message_id).model_dump(mode="json"))


def _details_or_404(message_id: str) -> Any:
    found = details(message_id)
    if found is None:
        raise ApiError(404, "not_found", "Not found", "There is no such message in the outbox.")
    return found
