"""The overview: /admin, and the same as JSON. A few seconds old at most, so that many who look cost no more than one."""
import threading
import time
from typing import Any

from flask import Response, current_app, jsonify, render_template

from petsong import database
from petsong.openapi import documented
from petsong.overview import Overview, gather
from petsong.web.desk import answers
from petsong.web.desk.campaign import state_of
from petsong.web.desk.charts import flow_chart
from petsong.web.desk.guard import desk_api, desk_blueprint
from petsong.web.desk.words import teach
from petsong.web.extension import Parts, parts

KEPT_SECONDS = 5.0
HISTORY_SECONDS = 60.0
STALE_SECONDS = 30.0  # older than that nobody is shown it; then one waits for whoever is at it
EXTENSION = "petsong.overview"

pages = desk_blueprint("overview")
api = desk_api("overview")
blueprints = (pages, api)
teach(pages)


class Kept:
    """This process's last overview. One request at a time makes a new one; meanwhile the others get the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: Overview | None = None
        self._made = 0.0

    def get(self, shared: Parts) -> tuple[Overview, float]:
        """An overview and its age in seconds."""
        last, age = self._last, time.monotonic() - self._made
        if last is not None and age < KEPT_SECONDS:
            return last, age
        if self._lock.acquire(blocking=last is None or age > STALE_SECONDS):
            try:
                return self._fresh(shared)
            finally:
                self._lock.release()
        assert last is not None  # noqa: S101 - else the lock was waited for
        return last, age

    def _fresh(self, shared: Parts) -> tuple[Overview, float]:
        age = time.monotonic() - self._made
        if self._last is None or age >= KEPT_SECONDS:
            history = self._last.history if self._last else None
            if history and (database.now() - history.taken_at).total_seconds() >= HISTORY_SECONDS:
                history = None
            self._last = gather(shared.settings, shared.queues, shared.campaign, history)
            self._made, age = time.monotonic(), 0.0
        return self._last, age


def look() -> tuple[Overview, float]:
    kept: Kept = current_app.extensions.setdefault(EXTENSION, Kept())
    return kept.get(parts())


@pages.get("")
def overview() -> str:
    told, age = look()
    charts = [flow_chart(period) for period in told.periods]
    return render_template("admin/overview.html", told=told, age=age, charts=charts, problems=problems(told))


@api.get("/overview")
@documented("Everything at once", tag="Operator", login=True, answers={200: answers.OverviewAnswer})
def overview_json() -> Response:
    told, age = look()
    return jsonify(as_json(told, age, parts()))


def as_json(told: Overview, age: float, shared: Parts) -> dict[str, Any]:
    state = state_of(shared.campaign.name, told.campaign, told.campaign_songs, told.not_for_sale)
    return answers.as_json(
        answers.OverviewAnswer, told, age_seconds=round(age, 1), campaign=state, sample_songs=told.history.sample_songs,
    )


def problems(told: Overview) -> list[str]:
    """What wants somebody's attention, worst first; [] when all is well."""
    found = []
    if told.balance.usable == 0:
        found.append("The credits are used up: nothing can be ordered.")
    if told.spending_paused:
        found.append(f"Sending stops: {told.spending_paused.reason}.")
    if told.sending_paused:
        found.append(f"Sending pauses: the service says “{told.sending_paused.reason}”.")
    if None in told.queue_depths.values():
        found.append("Redis does not answer.")
    alive = [pool for pool in told.pools if pool.alive]
    lacking = [queue for queue in told.queue_depths if not any(pool.queues.get(queue) for pool in alive)]
    if lacking:
        found.append(f"No worker for: {', '.join(lacking)}.")
    if told.scheduler_seconds is None or told.scheduler_seconds > 60:
        found.append("The scheduler gives no sign of life.")
    if told.disk_percent is not None and told.disk_percent > 80:
        found.append(f"The disk is {told.disk_percent:.0f} % full.")
    if not told.balance.fresh:
        found.append("The balance is not known, or its last reading is old.")
    return found
