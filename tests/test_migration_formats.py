"""The migration that brings further formats, on a database that is in use."""
from playhouse.migrations import Runner

import kit
from migrations_kit import at_version, insert, insert_finished_song
from petsong import database
from petsong.lifecycle import renditions
from petsong.models import Rendition

INITIAL, FORMATS = "0001_initial", "0002_further_formats"


def filled(url: str) -> Runner:
    """A database of the first version with a finished song in it."""
    runner = at_version(url, INITIAL)
    insert_finished_song()
    return runner


def test_what_is_there_stays_and_is_not_due(database_url: str) -> None:
    runner = filled(database_url)
    assert runner.up(FORMATS) == [FORMATS]
    [kept] = Rendition.select()
    assert (kept.session_id, kept.kind, kept.path) == ("song1", "poster", "video/song1.1.poster.jpg")
    assert (kept.claim_no, kept.tries, kept.next_try_at, kept.width, kept.height, kept.bytes) == (0, 0, None, None, None, None)
    assert not renditions.is_due()
    renditions.order("song1", ["hd"], database.now())
    assert renditions.is_due()


def test_processes_of_the_version_before_go_on_while_it_is_brought_in(database_url: str) -> None:
    filled(database_url).up(FORMATS)
    insert("renditions", {"session_id": "song1", "kind": "preview", "path": "video/p.jpg", "made_at": database.now()})
    assert [made.tries for made in Rendition.select()] == [0, 0]


def test_it_can_be_taken_back(database_url: str) -> None:
    runner = filled(database_url)
    runner.up(FORMATS)
    renditions.order("song1", ["hd"], database.now())
    runner.down(FORMATS)
    kinds = database.db.execute_sql("SELECT kind FROM renditions").fetchall()
    assert kinds == [("poster",)]
    assert runner.up(FORMATS) == [FORMATS]


def test_an_empty_database_gets_the_tables_that_the_models_describe(database_url: str) -> None:
    kit.open_database(database_url)
    columns = {column.name for column in database.db.get_columns("renditions")}
    assert columns == {field.column_name for field in Rendition._meta.sorted_fields}
    assert [index.columns for index in database.db.get_indexes("renditions")].count(["next_try_at"]) == 1
