"""Apply migrations: `python -m petsong.migrate`; with --check only say whether any are pending (exit 1).

The release step and the demo run it; every other process refuses to start while migrations are pending.
"""
import sys
from pathlib import Path

from peewee import Database
from playhouse.migrations import Runner

from petsong import database
from petsong.settings import SettingsError, load_settings

FOLDER = Path(__file__).parent / "migrations"


class MigrationsPending(Exception):
    pass


def pending(made: Database) -> list[str]:
    """Names of migrations not applied yet. Needs an open connection."""
    return [migration.name for migration in Runner(made, str(FOLDER)).status() if migration.applied is None]


def migrate(made: Database) -> list[str]:
    """Apply what is pending, one runner at a time; the names applied."""
    with database.connection():
        postgres = database.is_postgres()
        if postgres:  # a second runner waits here, then finds nothing pending
            made.execute_sql("SET lock_timeout = '120s'")
            made.execute_sql("SET statement_timeout = 0")
            made.execute_sql("SELECT pg_advisory_lock(hashtextextended('petsong:migrate', 0))")
        try:
            names: list[str] = Runner(made, str(FOLDER)).up()
            return names
        finally:
            if postgres:
                made.execute_sql("SELECT pg_advisory_unlock(hashtextextended('petsong:migrate', 0))")


def require_migrated(made: Database) -> None:
    """Raises MigrationsPending with the way out."""
    with database.connection():
        names = pending(made)
    if names:
        raise MigrationsPending(f"The database lacks the migrations {', '.join(names)}. Run: python -m petsong.migrate")


def main() -> int:
    try:
        made = database.connect_to(load_settings().database_url)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    if "--check" in sys.argv[1:]:
        with database.connection():
            names = pending(made)
        print("\n".join(f"pending: {name}" for name in names) or "nothing pending")
        return 1 if names else 0
    print("\n".join(f"applied: {name}" for name in migrate(made)) or "nothing to apply")
    return 0


if __name__ == "__main__":
    sys.exit(main())
