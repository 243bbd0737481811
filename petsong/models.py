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
# retention, newest first
Submission.add_index(Submission.created_at)


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


class WebhookReceipt(Base):
    id = AutoField()
    attempt = ForeignKeyField(Attempt, backref="receipts", on_delete="CASCADE")
    at = UTCField()
    outcome = CharField(20)  # hint, late
    body_hash = CharField(64)

    class Meta:
        table_name = "webhook_receipts"


class CreditReading(Base):
    """The service's balance at a moment; `usable` is null when it was not to be had."""

    id = AutoField()
    at = UTCField(index=True)  # the newest reading
    usable = IntegerField(null=True)

    class Meta:
        table_name = "credit_readings"


class Rendition(Base):
    """A file made from a done submission beside its video: poster, preview, further formats."""

    id = AutoField()
    submission = ForeignKeyField(Submission, backref="renditions", on_delete="CASCADE", column_name="session_id")
    kind = CharField(20)
    path = CharField(500)
    made_at = UTCField()

    class Meta:
        table_name = "renditions"
        indexes = ((("submission", "kind"), True),)


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

    class Meta:
        table_name = "heartbeats"


class Breaker(Base):
    """The sending breaker: a row while sending pauses."""

    name = CharField(primary_key=True)
    failures = IntegerField()
    since = UTCField()
    retry_at = UTCField()
    reason = CharField(200)

    class Meta:
        table_name = "breakers"


TABLES: list[type[Base]] = [
    Submission, Attempt, Event, WebhookReceipt, CreditReading, Rendition, IdempotencyKey, Tick, Heartbeat, Breaker,
]


def find_submission(session_id: str) -> Any:
    """The row, or None also for ids that no database would hold."""
    if not session_id or len(session_id) > 64 or not session_id.isalnum() or not session_id.isascii():
        return None
    return Submission.get_or_none(Submission.session_id == session_id)
