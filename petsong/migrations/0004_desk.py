"""What operators set and did, drops of the balance that no order explains, and indexes for the desk's overview."""
from typing import Any

from peewee import AutoField, CharField, Database, IntegerField, JSONField, Model, TextField

from petsong.database import UTCField


class Base(Model):
    class Meta:
        legacy_table_names = False
        only_save_dirty = True


class Switch(Base):

    name = CharField(primary_key=True)
    value = JSONField()

    class Meta:
        table_name = "switches"


class OperatorAction(Base):

    id = AutoField()
    at = UTCField(index=True)
    who = CharField(100)
    action = CharField(50)
    subject = CharField(255, default="")
    detail = TextField(default="")

    class Meta:
        table_name = "operator_actions"


TABLES = [Switch, OperatorAction]
INDEXES = {"submissions_stage_stage_since": "submissions (stage, stage_since)", "attempts_called": "attempts (call_started_at)"}


def up(migrator: Any, db: Database) -> None:
    with db.bind_ctx(TABLES):
        db.create_tables(TABLES, safe=False)
    migrator.migrate(migrator.add_column("credit_readings", "unexplained", IntegerField(null=True)))
    for name, columns in INDEXES.items():
        db.execute_sql(f"CREATE INDEX {name} ON {columns}")


def down(migrator: Any, db: Database) -> None:
    for name in INDEXES:
        db.execute_sql(f"DROP INDEX {name}")
    db.execute_sql("ALTER TABLE credit_readings DROP COLUMN unexplained")
    with db.bind_ctx(TABLES):
        db.drop_tables(TABLES)
