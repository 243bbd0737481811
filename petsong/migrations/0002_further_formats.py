"""Further formats of a video are ordered as renditions without a file, tried a few times, and tell their size."""
from typing import Any

from peewee import Database, IntegerField

from petsong.database import UTCField

COUNTS = ("claim_no", "tries")
ADDED = {
    "next_try_at": UTCField(null=True), "width": IntegerField(null=True), "height": IntegerField(null=True),
    "bytes": IntegerField(null=True),
}


def up(migrator: Any, db: Database) -> None:
    """The same words for both databases; of what is there no row is touched, so that a full table takes no longer."""
    for name in COUNTS:
        db.execute_sql(f"ALTER TABLE renditions ADD COLUMN {name} INTEGER DEFAULT 0 NOT NULL")
    migrator.migrate(*(migrator.add_column("renditions", name, field) for name, field in ADDED.items()))
    db.execute_sql("CREATE INDEX renditions_next_try_at ON renditions (next_try_at) WHERE next_try_at IS NOT NULL")


def down(migrator: Any, db: Database) -> None:
    """Orders not carried out yet are lost."""
    db.execute_sql("DROP INDEX renditions_next_try_at")
    db.execute_sql("DELETE FROM renditions WHERE path = ''")
    for name in (*COUNTS, *ADDED):
        db.execute_sql(f"ALTER TABLE renditions DROP COLUMN {name}")
