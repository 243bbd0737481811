"""For the operator's list: its filters and counts from one index alone, names and ids by their beginning. Re-rendering."""
from typing import Any

from peewee import Database, IntegerField, PostgresqlDatabase

from petsong.database import UTCField

# All that the list filters by, so that also a count over everything reads no row; it does what the older one did.
LIST = "CREATE INDEX submissions_desk ON submissions (created_at, session_id, entry_status, stage, fail_reason, campaign)"
RERENDER = "CREATE INDEX submissions_rerender_at ON submissions (rerender_at) WHERE rerender_at IS NOT NULL"
# In a language's sort order LIKE can't use a plain index. They carry the rest of the list's columns, and the name itself,
# without which PostgreSQL would look it up in the row again.
REST = "created_at, entry_status, stage, fail_reason, campaign"
BEGINNINGS = (
    f"CREATE INDEX submissions_pet_name_begins ON submissions (lower(pet_name) text_pattern_ops) "
    f"INCLUDE (pet_name, session_id, {REST})",
    f"CREATE INDEX submissions_session_id_begins ON submissions (session_id varchar_pattern_ops) INCLUDE ({REST})",
)


def up(migrator: Any, db: Database) -> None:
    migrator.migrate(
        migrator.add_column("submissions", "rerender_at", UTCField(null=True)),
        migrator.add_column("submissions", "rerender_tries", IntegerField(null=True)),
    )
    for statement in (LIST, RERENDER, *(BEGINNINGS if isinstance(db, PostgresqlDatabase) else ())):
        db.execute_sql(statement)
    db.execute_sql("DROP INDEX submissions_created_at")


def down(migrator: Any, db: Database) -> None:
    db.execute_sql("CREATE INDEX submissions_created_at ON submissions (created_at)")
    for name in ("desk", "rerender_at", "pet_name_begins", "session_id_begins"):
        db.execute_sql(f"DROP INDEX IF EXISTS submissions_{name}")
    migrator.migrate(
        migrator.drop_column("submissions", "rerender_tries"), migrator.drop_column("submissions", "rerender_at"),
    )
