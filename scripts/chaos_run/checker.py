"""The judge. Each check takes the records and returns what it objects to, a sentence each; none knows how they were made."""
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

from scripts.chaos_run.records import Records, Row, Told

ENDS = {"done": "success", "failed": "fail"}
DECLARED_503 = frozenset({"unavailable", "busy", "sold_out"})
EXPECTED = {
    "submit": {200}, "status": {200, 304}, "result": {200, 400, 409}, "video": {200},
}
HERTZ_APART = 15.0  # tones of two orders
Check = Callable[[Records], list[str]]


# ---- every accepted submission ends once

def accepted_is_kept(r: Records) -> list[str]:
    """Whoever was told "accepted" has a row, for ever."""
    known = {row["session_id"] for row in r.submissions}
    gone = sorted({one.session_id for one in r.told if one.session_id} - known)
    missing = [f"{one.session_id}: {one.asked} was answered 404" for one in r.told if one.http == 404]
    return [f"{session_id} was told to a client and has no row" for session_id in gone] + missing


def accepted_once(r: Records) -> list[str]:
    """One form is one row, however often it was sent: each visitor of a campaign has a pet of another name."""
    given: dict[str, set[str]] = defaultdict(set)
    for one in r.told:
        if one.asked == "submit" and one.session_id:
            given[one.visitor].add(one.session_id)
    rows = Counter(row["pet_name"] for row in r.submissions)
    twice = [f"{visitor} was given {sorted(ids)}" for visitor, ids in given.items() if len(ids) > 1]
    return twice + [f"{count} rows for the pet {name}" for name, count in rows.items() if count > 1]


def all_ended(r: Records) -> list[str]:
    return [f"{row['session_id']} is still {row['stage']}" for row in r.submissions if row["stage"] not in ENDS]


def ended_once(r: Records) -> list[str]:
    """By the events, which are written with each move: a chain without gaps, one end, nothing after it."""
    found = []
    for row, events in _events_by_row(r):
        moves = [(event["from_stage"], event["to_stage"]) for event in events if event["from_stage"] != event["to_stage"]]
        ends = [to for _, to in moves if to in ENDS]
        if len(ends) > 1 or (row["stage"] in ENDS and ends != [row["stage"]]):
            found.append(f"{row['session_id']} is {row['stage']}, its events end as {ends}")
        elif ends and moves[-1][1] not in ENDS:
            found.append(f"{row['session_id']} moved on to {moves[-1][1]} after {ends[0]}")
        stages = ["queued", *(to for _, to in moves)]
        if [was for was, _ in moves] != stages[:-1] or stages[-1] != row["stage"]:
            found.append(f"{row['session_id']} is {row['stage']}, its events are {moves}")
    return found


def ends_never_move(r: Records) -> list[str]:
    """What a client was told as the end stays the end, also in the database."""
    end: dict[str, str] = {}
    found = []
    for one in r.told:
        if one.asked != "status" or not one.status:
            continue
        earlier = end.get(one.session_id)
        if earlier and one.status != earlier:
            found.append(f"{one.session_id} was told as {earlier}, then as {one.status}")
        if one.status in ENDS.values():
            end.setdefault(one.session_id, one.status)
    stands = {row["session_id"]: row["entry_status"] for row in r.submissions}
    moved = [(key, told) for key, told in end.items() if stands.get(key, told) != told]
    return found + [f"{key} was told as {told} and is {stands[key]}" for key, told in moved]


def written_by_the_owner(r: Records) -> list[str]:
    """Claims only ever get newer, and a row's end is its last claim's: a worker that was replaced writes nothing."""
    found = []
    for row, events in _events_by_row(r):
        numbers = [event["claim_no"] for event in events]
        if numbers != sorted(numbers):
            found.append(f"{row['session_id']}: claims wrote in the order {numbers}")
        elif row["stage"] in ENDS and numbers and numbers[-1] != row["claim_no"]:
            found.append(f"{row['session_id']} was ended by claim {numbers[-1]}, its owner was {row['claim_no']}")
    return found


# ---- the service's ledger

def paid_at_most_once(r: Records) -> list[str]:
    """An attempt is ordered once; a row twice only where the second attempt is flagged."""
    attempts = {attempt["token"]: attempt for attempt in r.attempts}
    orders = Counter(token_of(order) for order in r.ledger["orders"])
    found = [f"attempt {_name(attempts.get(token))} was ordered {count} times" for token, count in orders.items() if count > 1]
    by_row: dict[str, list[Row]] = defaultdict(list)
    for token in orders:
        if token in attempts:
            by_row[attempts[token]["session_id"]].append(attempts[token])
    for session_id, ordered in by_row.items():
        unflagged = [attempt["number"] for attempt in ordered if not attempt["flagged"]]
        if len(unflagged) > 1 or len(ordered) > 2:
            found.append(f"{session_id}: {len(ordered)} orders, the attempts {unflagged} are not flagged")
    return found


def ledger_equals_attempts(r: Records) -> list[str]:
    """What the service took is what we know of, with the same end and the same price."""
    orders = {token_of(order): order for order in r.ledger["orders"]}
    known = {attempt["token"] for attempt in r.attempts}
    found = [f"order {order['task_id']} is nobody's" for token, order in orders.items() if token not in known]
    for attempt in r.attempts:
        found += [f"attempt {_name(attempt)} {what}" for what in _differences(attempt, orders.get(attempt["token"]))]
    return found


def _differences(attempt: Row, order: dict[str, Any] | None) -> list[str]:
    if order is None:
        return [f"has the task {attempt['task_id']}, which the service does not know"] if attempt["task_id"] else []
    if attempt["call_started_at"] is None or attempt["outcome"] in ("refused", "permanent", "void"):
        return [f"is {attempt['outcome']}, called at {attempt['call_started_at']}, but the service took an order"]
    if attempt["task_id"] is None:
        return []  # accepted, and nobody ever told us: an unknown attempt
    found = [f"has the task {attempt['task_id']}, not {order['task_id']}"] if attempt["task_id"] != order["task_id"] else []
    ends = (attempt["ended_as"], str(order["ended_as"] or "").lower())
    if ends[0] is not None and ends[0] != ends[1]:
        found.append(f"ended as {ends[0]} with us and as {ends[1] or 'nothing'} at the service")
    if attempt["ended_at"] is not None and attempt["credits"] != order["credits"]:
        found.append(f"cost {attempt['credits']} with us and {order['credits']} at the service")
    return found


def never_over_the_slots(r: Records) -> list[str]:
    peak = peak_concurrent(r.ledger["orders"])
    return [f"{peak} songs at the service at once, {r.slots} are allowed"] if peak > r.slots else []


def peak_concurrent(orders: list[dict[str, Any]]) -> int:
    steps = [(order["accepted_at"], 1) for order in orders]
    steps += [(order["ended_at"], -1) for order in orders if order["ended_at"] is not None]
    now, peak = 0, 0
    for _, step in sorted(steps):  # an end before a beginning of the same moment
        now += step
        peak = max(peak, now)
    return peak


# ---- videos and files

def own_song(r: Records) -> list[str]:
    """The pitch in each video is that of an order of its own row."""
    tones = {order["task_id"]: order["tone_hz"] for order in r.ledger["orders"]}
    owners = {attempt["task_id"]: attempt["session_id"] for attempt in r.attempts if attempt["task_id"]}
    found = []
    for row in _done(r):
        heard, task = r.heard.get(row["generated_video_path"]), row["LLM_task_id"]
        if owners.get(task) != row["session_id"]:
            found.append(f"{row['session_id']} used the task {task} of {owners.get(task)}")
        elif heard is not None and abs(heard.hertz - (tones.get(task) or 0)) > HERTZ_APART / 2:
            found.append(f"{row['session_id']} sounds at {heard.hertz:.0f} Hz, its song at {tones.get(task)} Hz")
    return found


def plays_to_its_end(r: Records) -> list[str]:
    """A video decodes whole, is as long as its song, and is what the client got."""
    found = []
    for row in _done(r):
        heard = r.heard.get(row["generated_video_path"])
        wrong = "is not there" if heard is None else _wrong_length(heard.frames / r.fps, heard.seconds, row, r.fps)
        if heard is not None and heard.problem:
            wrong = heard.problem
        found += [f"{row['session_id']}: its video {wrong}"] if wrong else []
    sums = {row["session_id"]: r.disk.get(row["generated_video_path"]) for row in _done(r)}
    got = [one for one in r.told if one.asked == "video" and one.http == 200 and one.status]
    return found + [f"{one.session_id}: a client got another video" for one in got if sums.get(one.session_id) != one.status]


def _wrong_length(pictures: float, sound: float, row: Row, fps: float) -> str:
    length, slack = row["audio_seconds"] or 0, 1 / fps + 0.1
    if length < 1 or abs(pictures - length) > slack or abs(sound - length) > slack:
        return f"has {pictures:.2f} s of pictures and {sound:.2f} s of sound, its song has {length:.2f} s"
    return ""


def files_have_rows(r: Records) -> list[str]:
    """Once the clearing away of what is an hour old was done: no file without a row, no row without its files."""
    named = {key: row["session_id"] for row in r.submissions for key in _keys(row)}
    named |= {rendition["path"]: rendition["session_id"] for rendition in r.renditions if rendition["path"]}
    stray = [f"{key} belongs to no row" for key in r.disk if key not in named]
    return stray + [f"{session_id}: {key} is not there" for key, session_id in named.items() if key not in r.disk]


def files_appear_whole(r: Records) -> list[str]:
    """Seen from outside while it ran: a key that exists always holds the whole file."""
    return [f"{key} changed under its name" for key in r.changed]


# ---- what is left, what was said

def nothing_left_over(r: Records) -> list[str]:
    found = [f"process {name}" for name in r.processes]
    found += [f"lease of {row['lease_holder']} on {row['session_id']}" for row in r.submissions if row["lease_until"]]
    for attempt in r.attempts:
        if attempt["ended_at"] is None and (attempt["task_id"] or attempt["call_started_at"] is None):
            found.append(f"slot of attempt {_name(attempt)}, {attempt['outcome']}, task {attempt['task_id']}")
    return found


def no_undeclared_5xx(r: Records) -> list[str]:
    return [f"{_asked(one)}" for one in r.told if one.http >= 500 and not (one.http == 503 and one.code in DECLARED_503)]


def nobody_is_turned_away(r: Records) -> list[str]:
    """Visitors do nothing wrong here: other answers than the expected ones need a reason."""
    return [_asked(one) for one in r.told if 0 < one.http < 500 and one.http not in EXPECTED[one.asked] | {404}]


def no_canary(r: Records) -> list[str]:
    return list(r.leaks)


CHECKS: dict[str, Check] = {
    "lost": accepted_is_kept,
    "accepted_twice": accepted_once,
    "not_ended": all_ended,
    "ended_twice": ended_once,
    "end_moved": ends_never_move,
    "unfenced": written_by_the_owner,
    "paid_twice": paid_at_most_once,
    "ledger_differs": ledger_equals_attempts,
    "over_slots": never_over_the_slots,
    "wrong_song": own_song,
    "video_broken": plays_to_its_end,
    "file_or_row_missing": files_have_rows,
    "file_changed": files_appear_whole,
    "left_over": nothing_left_over,
    "server_error": no_undeclared_5xx,
    "turned_away": nobody_is_turned_away,
    "canary": no_canary,
}


def judge(records: Records) -> dict[str, list[str]]:
    """Findings by the name of the check; all names are there, most lists are empty."""
    return {name: check(records) for name, check in CHECKS.items()}


# ---- common

def token_of(order: dict[str, Any]) -> str:
    return str(order["webhook_url"]).rpartition("/")[2]


def _events_by_row(r: Records) -> list[tuple[Row, list[Row]]]:
    events: dict[str, list[Row]] = defaultdict(list)
    for event in sorted(r.events, key=lambda event: event["id"]):
        events[event["session_id"]].append(event)
    return [(row, events[row["session_id"]]) for row in r.submissions]


def _done(r: Records) -> list[Row]:
    return [row for row in r.submissions if row["stage"] == "done"]


def _keys(row: Row) -> list[str]:
    return [key for key in (row["photo_path"], row["generated_song_path"], row["generated_video_path"]) if key]


def _name(attempt: Row | None) -> str:
    return f"{attempt['session_id']}/{attempt['number']}" if attempt else "of nobody"


def _asked(one: Told) -> str:
    return f"{one.asked} of {one.visitor} was answered {one.http} {one.code}".rstrip()
