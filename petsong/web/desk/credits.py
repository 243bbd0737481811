"""The ledger of credits and the spending limits: /admin/credits and /api/admin/credits."""
from dataclasses import dataclass
from datetime import datetime

from flask import Response, jsonify, redirect, render_template, request, url_for
from pydantic import ValidationError
from werkzeug.wrappers import Response as AnyResponse

from petsong import audit, credits, database, limits, spending
from petsong.lifecycle.claims import later
from petsong.moments import MomentError, parse_moment
from petsong.openapi import documented
from petsong.schemas import messages_of
from petsong.web.desk import answers
from petsong.web.desk.campaign import REFUSALS, read_body, woken
from petsong.web.desk.charts import balance_chart
from petsong.web.desk.guard import desk_api, desk_blueprint, message_page, operator_name
from petsong.web.desk.words import teach
from petsong.web.errors import validation_failed
from petsong.web.extension import parts

ACTIONS = ("spending_lifted", "spending_restored")
PAGE_SIZE = 30
LIFT_MINUTES = (30, 60, 180, 720, 1440)

pages = desk_blueprint("credits")
api = desk_api("credits")
blueprints = (pages, api)
teach(pages)


@dataclass(frozen=True)
class Sheet:
    """One page of the ledger, and how things stand."""

    balance: limits.Credits
    pace: credits.Pace
    spending: spending.Spending
    readings: list[credits.Entry]
    page: int
    page_size: int
    total: int

    @property
    def total_pages(self) -> int:
        return max(1, -(-self.total // self.page_size))


def sheet(page: int, page_size: int) -> Sheet:
    moment = database.now()
    balance = limits.last_credits(moment)
    readings, total = credits.ledger(page, page_size)
    return Sheet(
        balance, credits.pace(balance.usable, moment), spending.spending(parts().settings, moment), readings, page,
        page_size, total,
    )


# ---- the pages

@pages.get("/credits")
def ledger() -> str:
    page, moment = request.args.get("page", 1, type=int), database.now()
    made = sheet(min(max(page, 1), 1_000_000), PAGE_SIZE)
    begins = later(moment, -7 * spending.DAY)
    return render_template(
        "admin/credits.html", sheet=made, chart=balance_chart(credits.balances(moment), begins, moment), now=moment,
        settings=parts().settings, actions=audit.latest(10, actions=ACTIONS), lift_minutes=LIFT_MINUTES,
    )


@pages.get("/credits/orders")
def orders() -> AnyResponse:
    """The orders behind one entry: those that ended between two readings."""
    try:
        since, until = (parse_moment(request.args.get(name, ""), "UTC") for name in ("since", "until"))
    except MomentError as error:
        return message_page(400, "No such time", str(error), back=url_for(".ledger"))
    found = credits.orders_between(since, until)
    return Response(render_template("admin/credit_orders.html", orders=found, since=since, until=until), mimetype="text/html")


@pages.post("/credits/lift")
def lift_page() -> AnyResponse:
    try:
        woken(parts(), spending.lift(_until(_minutes(request.form.get("minutes", ""))), who=operator_name()))
    except MomentError as error:
        return message_page(400, "The limits still hold", str(error), back=url_for(".ledger"))
    return redirect(url_for(".ledger"), 303)


@pages.post("/credits/restore")
def restore_page() -> AnyResponse:
    spending.restore(who=operator_name())
    return redirect(url_for(".ledger"), 303)


def _minutes(text: str) -> float:
    return float(text) if text.isdecimal() and len(text) < 8 else 0


def _until(minutes: float) -> datetime:
    """A whole minute, so that a repeated click means the same. Raises MomentError."""
    if not 0 < minutes <= spending.LONGEST_LIFT / 60:
        raise MomentError("The limits can be lifted for up to seven days.")
    return later(database.now(), minutes * 60).replace(second=0, microsecond=0)


# ---- the API

@api.get("/credits")
@documented("The ledger of credits", tag="Operator", login=True, query=answers.LedgerQuery,
            answers={200: answers.CreditsAnswer}, errors=("validation_failed",))
def ledger_json() -> Response:
    try:
        query = answers.LedgerQuery.model_validate(request.args.to_dict())
    except ValidationError as error:
        fields = messages_of(error.errors(include_url=False, include_context=False, include_input=False))
        raise validation_failed(next(iter(fields.values())), fields) from None
    return jsonify(answers.as_json(answers.CreditsAnswer, sheet(query.page, query.page_size)))


@api.post("/credits/lift")
@documented(
    "Lift the spending limits for a while", tag="Operator", login=True, request=answers.LiftBody,
    answers={200: answers.SpendingDone}, errors=REFUSALS,
)
def lift_json() -> Response:
    body = read_body(answers.LiftBody)
    try:
        return _answer(spending.lift(_until(body.minutes), who=operator_name()))
    except MomentError as error:
        raise validation_failed(str(error)) from error


@api.post("/credits/restore")
@documented(
    "Let the spending limits hold again", tag="Operator", login=True, answers={200: answers.SpendingDone}, errors=REFUSALS,
)
def restore_json() -> Response:
    return _answer(spending.restore(who=operator_name()))


def _answer(changed: bool) -> Response:
    shared = parts()
    woken(shared, changed)
    state = spending.spending(shared.settings, database.now())
    figures = answers.SpendingFigures.model_validate(state)
    return jsonify(answers.SpendingDone(changed=changed, spending=figures).model_dump(mode="json"))
