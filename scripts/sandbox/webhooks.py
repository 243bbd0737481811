"""Webhooks: a queue of due deliveries in the store, so that a kill only delays them."""

import sqlite3
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import requests

from scripts.sandbox import tasks
from scripts.sandbox.ledger import Ledger
from scripts.sandbox.store import Store
from scripts.sandbox.tasks import Task

TIMEOUT_SECONDS = 5.0
PAUSES = (0.5, 1.0, 2.0)  # after the first, second and third failed try; a fourth one is the last
SENDERS = 8


class Webhooks:
    """Sends what is due, from a thread of its own; `wake` after something was added."""

    def __init__(self, store: Store, ledger: Ledger, base_url: str) -> None:
        self._store, self._ledger, self._base_url = store, ledger, base_url
        self._changed = threading.Event()
        self._sending: set[int] = set()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(SENDERS, "webhook")

    def start(self) -> None:
        threading.Thread(target=self._run, name="webhooks", daemon=True).start()

    def wake(self) -> None:
        self._changed.set()

    def plan(self, task: Task, tellings: Iterable[tuple[str, float]]) -> None:
        """Adds deliveries: which status is said, and when. To be called in the order's own transaction."""
        for said, due_at in tellings if task.request.get("webhook_url") else ():
            new = "INSERT INTO deliveries (task_id, due_at, said) VALUES (?, ?, ?)"
            self._store.change(new, task.task_id, due_at, None if said == task.outcome else said)

    def deliver(self, task: Task, said: str | None = None) -> bool:
        """One POST now, noted in the ledger; True when it was answered with 2xx. `said`: a status before the end."""
        status = self._post(task, said)
        self._store.change(
            "INSERT INTO calls (task_id, at, status, said) VALUES (?, ?, ?, ?)",
            *(task.task_id, time.time(), status, said or task.outcome),
        )
        return status.startswith("2")

    def _post(self, task: Task, said: str | None) -> str:
        url, body = str(task.request["webhook_url"]), tasks.webhook_body(task, self._base_url, said)
        try:
            with requests.Session() as http:
                http.trust_env = False  # receivers are on this machine or network: never through a proxy
                answer = http.post(url, json=body, timeout=TIMEOUT_SECONDS, allow_redirects=False)
        except (requests.RequestException, ValueError) as error:  # ValueError: an address that is none
            return type(error).__name__
        return str(answer.status_code)

    def _run(self) -> None:
        while True:
            self._changed.clear()
            with self._lock:
                busy = set(self._sending)
            waiting = self._store.rows("SELECT * FROM deliveries WHERE done = 0 ORDER BY due_at")
            for row in waiting:
                if row["id"] not in busy and row["due_at"] <= time.time():
                    self._send(row)
            later = [row["due_at"] for row in waiting if row["due_at"] > time.time()]
            self._changed.wait(min(1.0, max(0.0, later[0] - time.time())) if later else 1.0)

    def _send(self, row: sqlite3.Row) -> None:
        with self._lock:
            self._sending.add(row["id"])
        self._pool.submit(self._try, row["id"], row["task_id"], row["tries"], row["said"])

    def _try(self, delivery: int, task_id: str, tries: int, said: str | None) -> None:
        try:
            task = self._ledger.task(task_id)
            if task is None or not self._ledger.settings().webhooks or self.deliver(task, said) or tries == len(PAUSES):
                self._store.change("UPDATE deliveries SET done = 1 WHERE id = ?", delivery)
            else:
                again = "UPDATE deliveries SET tries = ?, due_at = ? WHERE id = ?"
                self._store.change(again, tries + 1, time.time() + PAUSES[tries], delivery)
        finally:
            with self._lock:
                self._sending.discard(delivery)
            self.wake()
