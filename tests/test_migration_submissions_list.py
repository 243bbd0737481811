"""The migration that brings the operator's list and re-rendering, on a database that is in use."""
from playhouse.migrations import Runner

from petsong import database
from test_migration_formats import filled

FORMATS, LIST = "0002_further_formats", "0003_submissions_list"


def indexes() -> set[str]:
    return {index.name for index in database.db.get_indexes("submissions")}


def test_it_is_brought_in_and_taken_back(database_url: str) -> None:
    runner: Runner = filled(database_url)
    runner.up(FORMATS)
    before = indexes()
    assert runner.up(LIST) == [LIST]
    added = {"submissions_desk", "submissions_rerender_at"}
    if database.is_postgres():
        added |= {"submissions_pet_name_begins", "submissions_session_id_begins"}
    assert indexes() == before - {"submissions_created_at"} | added
    row = database.db.execute_sql("SELECT session_id, rerender_at, rerender_tries FROM submissions").fetchall()
    assert row == [("song1", None, None)]
    runner.down(LIST)
    assert indexes() == before
    assert runner.up(LIST) == [LIST]
