"""The first tables: a frozen copy of the models, independent of what they become."""
from typing import Any

from peewee import (
    SQL,
    AutoField,
    BooleanField,
    CharField,
    Check,
    Database,
    FloatField,
    ForeignKeyField,
    IntegerField,
    JSONField,
    Model,
    TextField,
)

from petsong.database import UTCField

STAGE_RULE = "stage IN ('queued','sending','generating','downloading','rendering','done','failed')"


class Base(Model):
    class Meta:
        legacy_table_names = False
        only_save_dirty = True


class Submission(Base):

    session_id = CharField(primary_key=True)
    created_at = UTCField()
    cookie_id = CharField(index=True)
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
    life_since = UTCField()
    former_attempts = IntegerField(default=0)
    claim_no = IntegerField(default=0)
    tries = IntegerField(default=0)
    lease_until = UTCField(null=True)
    lease_holder = CharField(null=True)
    next_check_at = UTCField(null=True)
    fail_reason = CharField(50, null=True)
    owner_name_said = CharField(100, default="")
    pet_name_said = CharField(100, default="")
    prompt_alone = BooleanField(default=False)
    refused_since = UTCField(null=True)
    audio_report = JSONField(null=True)
    audio_seconds = FloatField(null=True)
    loudness = JSONField(null=True)
    word_timing = JSONField(null=True)
    timing_check_at = UTCField(null=True)
    files_removed_at = UTCField(null=True)

    class Meta:
        table_name = "submissions"


Submission.add_index(Submission.stage, Submission.created_at)
Submission.add_index(Submission.next_check_at, where=SQL("next_check_at IS NOT NULL"))
Submission.add_index(Submission.lease_until, where=SQL("lease_until IS NOT NULL"))
Submission.add_index(Submission.timing_check_at, where=SQL("timing_check_at IS NOT NULL"))
Submission.add_index(Submission.sent_to_llm)
Submission.add_index(Submission.created_at)


class Attempt(Base):

    id = AutoField()
    submission = ForeignKeyField(Submission, backref="attempts", on_delete="CASCADE", column_name="session_id")
    number = IntegerField()
    token = CharField(64, unique=True)
    flagged = BooleanField(default=False)
    claimed_at = UTCField()
    call_started_at = UTCField(null=True)
    outcome = CharField(20, null=True)
    outcome_detail = TextField(default="")
    task_id = CharField(null=True, unique=True)
    task_hint = CharField(null=True)
    hint_at = UTCField(null=True)
    silent_since = UTCField(null=True)
    silent_seconds = FloatField(default=0)
    ended_at = UTCField(null=True)
    ended_as = CharField(20, null=True)
    credits = IntegerField(default=0)

    class Meta:
        table_name = "attempts"
        indexes = ((("submission", "number"), True),)


Attempt.add_index(Attempt.call_started_at, where=SQL("ended_at IS NULL"))
Attempt.add_index(Attempt.ended_at)


class Event(Base):

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
    outcome = CharField(20)
    body_hash = CharField(64)

    class Meta:
        table_name = "webhook_receipts"


class CreditReading(Base):

    id = AutoField()
    at = UTCField(index=True)
    usable = IntegerField(null=True)

    class Meta:
        table_name = "credit_readings"


class Rendition(Base):

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
    created_at = UTCField(index=True)

    class Meta:
        table_name = "idempotency_keys"


class Tick(Base):

    name = CharField(primary_key=True)
    last_at = UTCField()

    class Meta:
        table_name = "ticks"


class Heartbeat(Base):

    name = CharField(primary_key=True)
    at = UTCField()
    started_at = UTCField()
    queues = JSONField()

    class Meta:
        table_name = "heartbeats"


class Breaker(Base):

    name = CharField(primary_key=True)
    failures = IntegerField()
    since = UTCField()
    retry_at = UTCField()
    reason = CharField(200)

    class Meta:
        table_name = "breakers"


TABLES = [
    Submission, Attempt, Event, WebhookReceipt, CreditReading, Rendition, IdempotencyKey, Tick, Heartbeat, Breaker,
]


def up(migrator: Any, db: Database) -> None:
    with db.bind_ctx(TABLES):
        db.create_tables(TABLES, safe=False)


def down(migrator: Any, db: Database) -> None:
    with db.bind_ctx(TABLES):
        db.drop_tables(TABLES)
