"""The stand-in's controls and its API for tests, demo and bench; nothing here belongs to the product."""

import time
from collections.abc import Collection
from types import TracebackType
from typing import Any, Self

import requests

from scripts.sandbox.faults import FAULTS, SHARED

TIMEOUT_SECONDS = 15.0


class SandboxError(RuntimeError):
    """The stand-in refused a control call, or does not answer; the message is its own."""


class SandboxClient:
    """Controls answer with JSON and raise SandboxError; the API calls answer with the whole requests.Response."""

    def __init__(self, url: str, key: str = "sksonauto_sandbox") -> None:
        self.url, self.key = url.rstrip("/"), key
        self._http = requests.Session()
        self._http.trust_env = False  # never through a proxy: it is on this machine

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def wait_ready(self, timeout: float = 10.0) -> None:
        """Returns once it answers. Raises SandboxError after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                self._call("GET", "/sandbox/settings")
                return
            except requests.ConnectionError as error:
                if time.monotonic() > deadline:
                    raise SandboxError(f"{self.url} does not answer after {timeout:g} s") from error
            time.sleep(0.05)

    def ledger(self) -> dict[str, Any]:
        """{orders, refusals, strikes, trespasses: [...], summary: {accepted, refused, max_concurrent, credits_left}}."""
        return dict(self._call("GET", "/ledger"))

    def orders(self) -> list[dict[str, Any]]:
        """The ledger's accepted orders, oldest first."""
        return list(self.ledger()["orders"])

    def summary(self) -> dict[str, Any]:
        return dict(self.ledger()["summary"])

    def reset(self) -> None:
        """Forgets orders, faults and configured settings."""
        self._call("POST", "/sandbox/reset")

    def configure(self, **settings: float | int | str | bool) -> dict[str, Any]:
        """Changes settings (settings.Settings) for what comes; returns them all."""
        return dict(self._call("POST", "/sandbox/configure", settings))

    def finish(self, task_id: str | None = None, outcome: str | None = None) -> int:
        """Ends one unfinished task, or all, now; returns how many."""
        return int(self._call("POST", "/sandbox/finish", {"task_id": task_id, "outcome": outcome})["ended"])

    def add_fault(
        self,
        fault: str,
        *,
        match: str | None = None,
        count: int | None = None,
        share: float | None = None,
        from_seconds: float | None = None,
        for_seconds: float | None = None,
        seconds: float | None = None,
        number: int | None = None,
    ) -> int:
        """Adds a fault of faults.FAULTS, with the options described there; returns its id."""
        given = {"fault": fault, "match": match, "count": count, "share": share, "seconds": seconds}
        given |= {"number": number, "from_seconds": from_seconds, "for_seconds": for_seconds}
        return int(self._call("POST", "/sandbox/faults", given)["id"])

    def add_shares(
        self,
        share: float,
        *,
        exclude: Collection[str] = (),
        from_seconds: float | None = None,
        for_seconds: float | None = None,
    ) -> list[int]:
        """Adds every fault of faults.SHARED but the excluded ones, each with this share of its chances; their ids.

        The set leaves out what stops everything (outages) and what lasts beyond a minute.
        """
        unknown = set(exclude) - FAULTS.keys()
        if unknown:
            raise SandboxError(f"no such fault to exclude: {', '.join(sorted(unknown))}")
        wanted = [name for name in SHARED if name not in exclude]
        return [self.add_fault(name, share=share, from_seconds=from_seconds, for_seconds=for_seconds) for name in wanted]

    def strikes(self, fault: str | None = None) -> list[dict[str, Any]]:
        """The ledger's strikes, oldest first: {at, fault, fault_id, method, path, task_id, status}; of one fault, or all."""
        return [strike for strike in self.ledger()["strikes"] if fault in (None, strike["fault"])]

    def trespasses(self) -> list[dict[str, Any]]:
        """Who went where redirects of ours must not be followed: {at, request, with_key}."""
        return list(self.ledger()["trespasses"])

    def faults(self) -> list[dict[str, Any]]:
        return list(self._call("GET", "/sandbox/faults"))

    def clear_faults(self) -> None:
        self._call("DELETE", "/sandbox/faults")

    def submit(self, order: object, key: str | None = None) -> requests.Response:
        return self._api("POST", "/v1/generations/v3", key, order)

    def task(self, task_id: str) -> requests.Response:
        return self._api("GET", f"/v1/generations/{task_id}")

    def status(self, task_id: str, *, include_alignment: bool = False) -> requests.Response:
        return self._api("GET", f"/v1/generations/status/{task_id}{'?include_alignment=true' * include_alignment}")

    def balance(self) -> requests.Response:
        return self._api("GET", "/v1/credits/balance")

    def song(self, url: str) -> requests.Response:
        """Downloads a song file, without the key."""
        return self._http.get(url, timeout=TIMEOUT_SECONDS)

    def _api(self, method: str, path: str, key: str | None = None, body: object = None) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.key if key is None else key}"}
        return self._http.request(method, self.url + path, headers=headers, json=body, timeout=TIMEOUT_SECONDS)

    def _call(self, method: str, path: str, body: object = None) -> Any:
        answer = self._http.request(method, self.url + path, json=body, timeout=TIMEOUT_SECONDS)
        if answer.status_code != 200:
            raise SandboxError(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
        return answer.json()
