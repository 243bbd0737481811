"""What leaves us: the outbox, its delivery log, open alerts. The id of the request that brought a song; what pools can do."""
from typing import Any

from peewee import SQL, AutoField, CharField, Database, ForeignKeyField, IntegerField, JSONField, Model, TextField

from petsong.database import UTCField


class Base(Model):
    class Meta:
        legacy_table_names = False
        only_save_dirty = True


class OutboxMessage(Base):

    id = CharField(64, primary_key=True)
    kind = CharField(50)
    destination = CharField(20)
    payload = JSONField()
    created_at = UTCField(index=True)
    state = CharField(20, default="waiting")
    next_try_at = UTCField(null=True)
    tries = IntegerField(default=0)
    last_answer = CharField(300, default="")

    class Meta:
        table_name = "outbox"


OutboxMessage.add_index(OutboxMessage.state, OutboxMessage.created_at)
OutboxMessage.add_index(OutboxMessage.next_try_at, where=SQL("next_try_at IS NOT NULL"))


class Delivery(Base):

    id = AutoField()
    message = ForeignKeyField(OutboxMessage, backref="deliveries", on_delete="CASCADE")
    destination = CharField(20)
    at = UTCField()
    status = IntegerField(null=True)
    note = CharField(300, default="")
    ms = IntegerField(null=True)

    class Meta:
        table_name = "deliveries"


Delivery.add_index(Delivery.destination, Delivery.at)


class Alert(Base):

    key = CharField(primary_key=True)
    kind = CharField(50)
    severity = CharField(20)
    text = TextField()
    since = UTCField()
    last_at = UTCField()
    sent_at = UTCField()
    suppressed = IntegerField(default=0)
    resolved_at = UTCField(null=True)

    class Meta:
        table_name = "alerts"


TABLES = [OutboxMessage, Delivery, Alert]


def up(migrator: Any, db: Database) -> None:
    with db.bind_ctx(TABLES):
        db.create_tables(TABLES, safe=False)
    migrator.migrate(
        migrator.add_column("submissions", "request_id", CharField(64, null=True)),
        migrator.add_column("heartbeats", "facts", JSONField(null=True)),
        # metrics: songs by stage and reason, from the index alone
        migrator.add_index("submissions", ("stage", "fail_reason")),
        # what happened lately: metrics, alerts
        migrator.add_index("events", ("at",)),
        # metrics: hints of the last hour
        migrator.add_index("webhook_receipts", ("at",)),
    )


def down(migrator: Any, db: Database) -> None:
    migrator.migrate(
        migrator.drop_index("webhook_receipts", "webhook_receipts_at"),
        migrator.drop_index("events", "events_at"),
        migrator.drop_index("submissions", "submissions_stage_fail_reason"),
        migrator.drop_column("heartbeats", "facts"),
        migrator.drop_column("submissions", "request_id"),
    )
    with db.bind_ctx(TABLES):
        db.drop_tables(TABLES)
