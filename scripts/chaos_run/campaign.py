"""The visitors: a steady stream of forms over HTTP, each followed to its video, and all that they were told.

A visitor does what the microsite does: one Idempotency-Key a form, the same body again after an error or no answer, polls
of the status, the result, the video. Names are letters only and begin with words that occur nowhere else.
"""
import base64
import hashlib
import io
import json
import random
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from PIL import Image

from scripts.chaos_run.records import Told

PET_WORD, OWNER_WORD = "Quokkazel", "Vexolind"  # canaries: no log and no message may hold them
PET_TYPES = ("Dog", "Cat", "Bird", "Fish", "Other")
VIBES = ("Chill", "Energetic", "Romantic", "Party", "Relaxing", "Other")
POLL_SECONDS = 2.0
LONGEST_PAUSE = 3.0  # whatever Retry-After says: its minutes are seconds here
TIMEOUT_SECONDS = 10.0
ENDS = ("success", "fail")


def letters(number: int) -> str:
    """A number as a word of letters: 0 is Aaa, 1 is Aab, …"""
    word = "".join(chr(97 + number // 26**place % 26) for place in (2, 1, 0))
    return word.capitalize()


def make_photo(number: int) -> bytes:
    """A small JPEG; another one for each number."""
    chance = random.Random(number)
    grains = Image.frombytes("RGB", (8, 8), chance.randbytes(192))
    out = io.BytesIO()
    grains.resize((420, 420), Image.Resampling.BICUBIC).save(out, "JPEG", quality=70)
    return out.getvalue()


@dataclass(frozen=True)
class Form:
    visitor: str
    body: bytes
    key: str


def make_form(number: int, chance: random.Random) -> Form:
    visitor = f"{PET_WORD} {letters(number)}"
    fields = {
        "pet_name": visitor, "pet_type": chance.choice(PET_TYPES), "music_vibe": chance.choice(VIBES),
        "owner_name": f"{OWNER_WORD} {letters(number)}", "photo": base64.b64encode(make_photo(number)).decode(),
    }
    return Form(visitor, json.dumps(fields).encode(), str(uuid.UUID(int=chance.getrandbits(128), version=4)))


class Diary:
    """All answers, in memory and in a file, by many threads."""

    def __init__(self, path: Path) -> None:
        self.told: list[Told] = []
        self._lock = threading.Lock()
        self._file = path.open("w")

    def add(self, one: Told) -> None:
        with self._lock:
            self.told.append(one)
            self._file.write(json.dumps(vars(one)) + "\n")
            self._file.flush()


class Visitor:
    """One person with one form. Raises nothing; gives up when `over` says so."""

    def __init__(self, url: str, form: Form, diary: Diary, over: Callable[[], bool]) -> None:
        self._url, self.form, self._diary, self._over = url, form, diary, over
        self._http = requests.Session()
        self._http.trust_env = False
        self.session_id = ""

    def run(self) -> None:
        with self._http:
            if self._submit() and self._follow() and self._answer_of("result"):
                self._answer_of("video")

    def _submit(self) -> bool:
        while not self._over():
            answer = self._ask("submit")
            if answer is not None and answer.status_code == 200:
                return True
            if answer is not None and answer.status_code < 500 and answer.status_code != 429:
                return False  # the form is refused: a finding, not a reason to send it for ever
            self._pause(answer)
        return False

    def _follow(self) -> bool:
        """Whether the song came."""
        while not self._over():
            answer = self._ask("status")
            status = _json(answer).get("status") if answer is not None else None
            if status in ENDS:
                return status == "success"
            time.sleep(POLL_SECONDS)
        return False

    def _answer_of(self, asked: str) -> bool:
        while not self._over():
            answer = self._ask(asked)
            if answer is not None and answer.status_code < 500:
                return answer.status_code == 200
            self._pause(answer)
        return False

    def ask_once_more(self) -> None:
        """The status after all is over; the site has no excuse any more."""
        if self.session_id:
            with self._http:
                self._ask("status")

    def _ask(self, asked: str) -> requests.Response | None:
        try:
            answer = self._send(asked)
        except requests.RequestException as error:  # killed under our hands, or frozen for longer than we wait
            self._note(asked, None, type(error).__name__)
            return None
        self._note(asked, answer)
        return answer

    def _send(self, asked: str) -> requests.Response:
        if asked == "submit":
            headers = {"Content-Type": "application/json", "Idempotency-Key": self.form.key}
            address = f"{self._url}/api/submissions"
            return self._http.post(address, data=self.form.body, headers=headers, timeout=TIMEOUT_SECONDS)
        path = {
            "status": f"/api/submissions/{self.session_id}/status", "result": f"/api/results/{self.session_id}",
            "video": f"/storage/video/{self.session_id}.mp4",
        }[asked]
        return self._http.get(self._url + path, timeout=TIMEOUT_SECONDS)

    def _note(self, asked: str, answer: requests.Response | None, code: str = "") -> None:
        http = 0 if answer is None else answer.status_code
        body = {} if asked == "video" else _json(answer)
        status = str(body.get("status") or "")
        if asked == "video" and answer is not None:
            status = hashlib.sha256(answer.content).hexdigest() if http == 200 else ""
            # A page, not JSON: that it says when to come back tells the declared 503 from a crash.
            code = code or ("unavailable" if http == 503 and "Retry-After" in answer.headers else "")
        if asked == "submit" and http == 200:
            self.session_id = str(body.get("session_id") or "")
        told = Told(time.time(), self.form.visitor, asked, http, code or str(body.get("code") or ""), self.session_id, status)
        self._diary.add(told)

    def _pause(self, answer: requests.Response | None) -> None:
        wanted = answer.headers.get("Retry-After", "1") if answer is not None else "1"
        time.sleep(min(float(wanted) if wanted.isdecimal() else 1.0, LONGEST_PAUSE))


def _json(answer: requests.Response | None) -> dict[str, Any]:
    try:
        found = answer.json() if answer is not None else {}
    except requests.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


class Campaign:
    """`submissions` visitors, evenly over `seconds`, each in a thread."""

    def __init__(self, url: str, folder: Path, seed: int, submissions: int, seconds: float) -> None:
        chance = random.Random(f"visitors {seed}")
        self.diary = Diary(folder / "told.jsonl")
        self._over = threading.Event()
        forms = [make_form(number, chance) for number in range(submissions)]
        self.visitors = [Visitor(url, form, self.diary, self._over.is_set) for form in forms]
        self._moments = sorted(chance.uniform(0, seconds) for _ in forms)
        self._threads: list[threading.Thread] = []
        self._door = threading.Thread(target=self._let_in, name="door", daemon=True)

    def start(self) -> None:
        self._door.start()

    def _let_in(self) -> None:
        began = time.monotonic()
        for moment, visitor in zip(self._moments, self.visitors, strict=True):
            self._over.wait(max(0.0, began + moment - time.monotonic()))
            thread = threading.Thread(target=visitor.run, name=visitor.form.visitor, daemon=True)
            self._threads.append(thread)
            thread.start()

    def finished(self) -> bool:
        """Whether everybody has come and gone."""
        return not self._door.is_alive() and not any(thread.is_alive() for thread in self._threads)

    def end(self) -> None:
        """Send home whoever is still there, then ask for every song once more."""
        self._over.set()
        self._door.join()
        for thread in self._threads:
            thread.join()
        for visitor in self.visitors:
            visitor.ask_once_more()
