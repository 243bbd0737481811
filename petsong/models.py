"""Tables, indexes, plain queries. No HTTP, no Redis; what changes a stage or an attempt lives in petsong/lifecycle.

Rows are changed by UPDATE … WHERE only: a whole-row save() would put an old stage back.
"""
from typing import Any

from peewee import (
    SQL,
    AutoField,
    BooleanField,
    CharField,
    Check,
    FloatField,
    ForeignKeyField,
    IntegerField,
    JSONField,
    Model,
    TextField,
)

from petsong.database import UTCField, db

STAGE_RULE = "stage IN ('queued','sending','generating','downloading','rendering','done','failed')"


class Base(Model):
    class Meta:
        database = db
        legacy_table_names = False
        only_save_dirty = True


class Submission(Base):
    """One accepted form: the truth about one song, from queued to done or failed."""

    session_id = CharField(primary_key=True)
    created_at = UTCField()
    cookie_id = CharField(index=True)  # the limit per visitor
    owner_name = CharField(100)
    pet_name = CharField(100)
    photo_path = CharField(500)
    pet_type = CharField(50)
    music_vibe = CharField(50)
    retry_count = IntegerField(default=0, constraints=[SQL("DEFAULT 0")])
    sent_to_llm = UTCField(null=True, column_name="sent_to_LLM")
    llm_task_id = CharField(null=True, unique=True, column_name="LLM_task_id")
    received_from_llm = UTCField(null=True, column_name="received_from_LLM")
    llm_response = TextField(null=True, column_name="LLM_response")
    llm_full_response = JSONField(null=True, column_name="LLM_full_response")
    generated_song_path = CharField(500, null=True)
    llm_status = CharField(50, null=True, column_name="LLM_status")
    lyrics = TextField(null=True)
    video_creation_start = UTCField(null=True)
    video_creation_end = UTCField(null=True)
    generated_video_path = CharField(500, null=True)
    entry_status = CharField(50, default="pending", constraints=[SQL("DEFAULT 'pending'")])

    campaign = CharField(100)
    stage = CharField(20, default="queued", constraints=[Check(STAGE_RULE)])
    stage_since = UTCField()
    life_since = UTCField()  # created, or revived by an operator: the queue's limit counts from here
    former_attempts = IntegerField(default=0)  # attempts made before the present life
    claim_no = IntegerField(default=0)
    tries = IntegerField(default=0)
    lease_until = UTCField(null=True)
    lease_holder = CharField(null=True)  # the process, so that one known to be dead frees its row at once
    next_check_at = UTCField(null=True)
    fail_reason = CharField(50, null=True)
    owner_name_said = CharField(100, default="")
    pet_name_said = CharField(100, default="")
    prompt_alone = BooleanField(default=False)  # the service refused our tags for this order
    refused_since = UTCField(null=True)  # first of the 5xx refusals counted in retry_count
    audio_report = JSONField(null=True)
    audio_seconds = FloatField(null=True)
    loudness = JSONField(null=True)
    word_timing = JSONField(null=True)
    timing_check_at = UTCField(null=True)
    files_removed_at = UTCField(null=True)
    rerender_at = UTCField(null=True)  # a finished song's video is to be made anew; when that is due, or a lease ends
    rerender_tries = IntegerField(null=True)  # of the last such order
    request_id = CharField(64, null=True)  # of the request that brought it; on every log line about it, to the render

    class Meta:
        table_name = "submissions"


# claim the oldest queued rows; the queue's position
Submission.add_index(Submission.stage, Submission.created_at)
# the sweep: what is due, what has lost its worker
Submission.add_index(Submission.next_check_at, where=SQL("next_check_at IS NOT NULL"))
Submission.add_index(Submission.lease_until, where=SQL("lease_until IS NOT NULL"))
Submission.add_index(Submission.timing_check_at, where=SQL("timing_check_at IS NOT NULL"))
# the latest acceptance
Submission.add_index(Submission.sent_to_llm)
# retention; the operator's list, filtered and counted from the index alone, newest first. On PostgreSQL pet_name and
# session_id are indexed by their beginning as well.
Submission.add_index(Submission.index(
    Submission.created_at, Submission.session_id, Submission.entry_status, Submission.stage, Submission.fail_reason,
    Submission.campaign, name="submissions_desk",
))
# videos to be made anew
Submission.add_index(Submission.rerender_at, where=SQL("rerender_at IS NOT NULL"))
# the overview: ends of the last hours and days, the last failures, how long the oldest of a stage is there
Submission.add_index(Submission.stage, Submission.stage_since)
# metrics: songs by stage and reason, from the index alone
Submission.add_index(Submission.stage, Submission.fail_reason)


class Attempt(Base):
    """One order at the song service, paid at most once. A slot is an attempt not known to have ended."""

    id = AutoField()
    submission = ForeignKeyField(Submission, backref="attempts", on_delete="CASCADE", column_name="session_id")
    number = IntegerField()
    token = CharField(64, unique=True)
    flagged = BooleanField(default=False)  # ordered although an earlier attempt may have been accepted
    claimed_at = UTCField()
    call_started_at = UTCField(null=True)
    outcome = CharField(20, null=True)  # accepted, refused, permanent, unknown, void
    outcome_detail = TextField(default="")
    task_id = CharField(null=True, unique=True)
    task_hint = CharField(null=True)  # a task id that the service has not confirmed yet
    hint_at = UTCField(null=True)
    silent_since = UTCField(null=True)  # questions since then went unanswered
    silent_seconds = FloatField(default=0)  # the clock stood that long
    ended_at = UTCField(null=True)
    ended_as = CharField(20, null=True)  # success, failure, timeout, refused, permanent, void
    credits = IntegerField(default=0)

    class Meta:
        table_name = "attempts"
        indexes = ((("submission", "number"), True),)


# slots in use
Attempt.add_index(Attempt.call_started_at, where=SQL("ended_at IS NULL"))
# credits spent since the last reading; songs accepted meanwhile
Attempt.add_index(Attempt.ended_at)
# what the orders of the last hour and day cost
Attempt.add_index(Attempt.index(Attempt.call_started_at, name="attempts_called"))


class Event(Base):
    """One move of a submission, written by its winner in the same transaction: the audit log and the timeline."""

    id = AutoField()
    submission = ForeignKeyField(Submission, backref="events", on_delete="CASCADE", column_name="session_id")
    at = UTCField()
    from_stage = CharField(20)
    to_stage = CharField(20)
    claim_no = IntegerField()
    attempt = IntegerField(null=True)
    reason = CharField(50, default="")
    detail = TextField(default="")

    class Meta:
        table_name = "events"


# what happened lately: metrics, alerts
Event.add_index(Event.at)


class WebhookReceipt(Base):
    id = AutoField()
    attempt = ForeignKeyField(Attempt, backref="receipts", on_delete="CASCADE")
    at = UTCField()
    outcome = CharField(20)  # hint, late
    body_hash = CharField(64)

    class Meta:
        table_name = "webhook_receipts"


# metrics: hints of the last hour
WebhookReceipt.add_index(WebhookReceipt.at)


class CreditReading(Base):
    """The service's balance at a moment; `usable` is null when it was not to be had."""

    id = AutoField()
    at = UTCField(index=True)  # the newest reading
    usable = IntegerField(null=True)
    unexplained = IntegerField(null=True)  # credits gone since the reading before for which there is no order

    class Meta:
        table_name = "credit_readings"


class Rendition(Base):
    """A file made from a done submission beside its video: poster, preview, further formats.

    Poster and preview come with the video. A further format is ordered then, and its path is empty until it is made.
    """

    id = AutoField()
    submission = ForeignKeyField(Submission, backref="renditions", on_delete="CASCADE", column_name="session_id")
    kind = CharField(20)
    path = CharField(500)
    made_at = UTCField()  # ordered, where there is no path yet
    claim_no = IntegerField(default=0, constraints=[SQL("DEFAULT 0")])  # of a further format's last claim
    tries = IntegerField(default=0, constraints=[SQL("DEFAULT 0")])  # begun since it was ordered
    next_try_at = UTCField(null=True)  # made, or given up, where it is null; the end of a lease while somebody works on it
    width = IntegerField(null=True)
    height = IntegerField(null=True)
    bytes = IntegerField(null=True)

    class Meta:
        table_name = "renditions"
        indexes = ((("submission", "kind"), True),)


# the further formats that are due
Rendition.add_index(Rendition.next_try_at, where=SQL("next_try_at IS NOT NULL"))


class IdempotencyKey(Base):
    key = CharField(primary_key=True)
    body_hash = CharField(64)
    answer = JSONField()
    created_at = UTCField(index=True)  # removed after a day

    class Meta:
        table_name = "idempotency_keys"


class Tick(Base):
    """When a periodic duty was last begun, so that overlapping schedulers do it once."""

    name = CharField(primary_key=True)
    last_at = UTCField()

    class Meta:
        table_name = "ticks"


class Heartbeat(Base):
    """A worker pool's sign of life: RQ's own worker list is lost with Redis."""

    name = CharField(primary_key=True)
    at = UTCField()
    started_at = UTCField()
    queues = JSONField()  # {queue: live workers}
    facts = JSONField(null=True)  # {ffmpeg: {…}, disk_percent}: what the pool's machine can do and has left

    class Meta:
        table_name = "heartbeats"


class Breaker(Base):
    """A row while sending pauses: "sending", the service refuses everybody; "spending", too much was spent lately."""

    name = CharField(primary_key=True)
    failures = IntegerField()
    since = UTCField()
    retry_at = UTCField()
    reason = CharField(200)

    class Meta:
        table_name = "breakers"


class OutboxMessage(Base):
    """What leaves us, written in the transaction of what it tells: an alert, or an event for the agency."""

    id = CharField(64, primary_key=True)  # webhook-id: the same at every try, so that receivers can tell repeats
    kind = CharField(50)
    destination = CharField(20)  # alert, event
    payload = JSONField()  # no names
    created_at = UTCField(index=True)  # newest first; retention
    state = CharField(20, default="waiting")  # waiting, delivered, given_up, no_address
    next_try_at = UTCField(null=True)  # null when it is over
    tries = IntegerField(default=0)
    last_answer = CharField(300, default="")

    class Meta:
        table_name = "outbox"


# the desk's list of one state
OutboxMessage.add_index(OutboxMessage.state, OutboxMessage.created_at)
# what is due
OutboxMessage.add_index(OutboxMessage.next_try_at, where=SQL("next_try_at IS NOT NULL"))


class Delivery(Base):
    """One try to deliver a message, or an operator's word that it be tried again."""

    id = AutoField()
    message = ForeignKeyField(OutboxMessage, backref="deliveries", on_delete="CASCADE")
    destination = CharField(20)
    at = UTCField()
    status = IntegerField(null=True)  # HTTP; null where no answer came
    note = CharField(300, default="")
    ms = IntegerField(null=True)

    class Meta:
        table_name = "deliveries"


# how the last try at a destination went
Delivery.add_index(Delivery.destination, Delivery.at)


class Alert(Base):
    """A condition that the operator was told of, so that it is told once an hour, and when it is over."""

    key = CharField(primary_key=True)
    kind = CharField(50)
    severity = CharField(20)  # critical, error, warning
    text = TextField()
    since = UTCField()
    last_at = UTCField()
    sent_at = UTCField()
    suppressed = IntegerField(default=0)  # since sent_at
    resolved_at = UTCField(null=True)

    class Meta:
        table_name = "alerts"


class Switch(Base):
    """What an operator set over settings and campaign file: "campaign:NAME", "spending"."""

    name = CharField(primary_key=True)
    value = JSONField()

    class Meta:
        table_name = "switches"


class OperatorAction(Base):
    """What an operator did that is no move of a song; those stand among its events."""

    id = AutoField()
    at = UTCField(index=True)  # newest first
    who = CharField(100)
    action = CharField(50)
    subject = CharField(255, default="")  # a session id, a campaign, a setting
    detail = TextField(default="")

    class Meta:
        table_name = "operator_actions"


TABLES: list[type[Base]] = [
    Submission, Attempt, Event, WebhookReceipt, CreditReading, Rendition, IdempotencyKey, Tick, Heartbeat, Breaker,
    OutboxMessage, Delivery, Alert, Switch, OperatorAction,
]


def find_submission(session_id: str) -> Any:
    """The row, or None also for ids that no database would hold."""
    if not session_id or len(session_id) > 64 or not session_id.isalnum() or not session_id.isascii():
        return None
    return Submission.get_or_none(Submission.session_id == session_id)
