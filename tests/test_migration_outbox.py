"""The migration that brings the outbox, on a database that is in use."""
from playhouse.migrations import Runner

import kit
from migrations_kit import at_version, insert, insert_finished_song
from petsong import database, outbox
from petsong.models import Alert, Delivery, Heartbeat, OutboxMessage, Submission

BEFORE, OURS = "0004_desk", "0005_outbox"


def filled(url: str) -> Runner:
    """A database of the version before, with a song and a pool's sign of life."""
    runner = at_version(url, BEFORE)
    insert_finished_song()
    beat("pool-1")
    return runner


def beat(name: str) -> None:
    moment = database.now()
    insert("heartbeats", {"name": name, "at": moment, "started_at": moment, "queues": "{}"})


def test_what_is_there_stays_and_the_outbox_is_empty(database_url: str) -> None:
    assert filled(database_url).up(OURS) == [OURS]
    song = Submission.get_by_id("song1")
    assert (song.pet_name, song.request_id) == ("Bello", None)
    assert [found.facts for found in Heartbeat.select()] == [None]
    assert outbox.due() == [] and outbox.open_alerts() == []


def test_processes_of_the_version_before_go_on_while_it_is_brought_in(database_url: str) -> None:
    filled(database_url).up(OURS)
    beat("pool-2")
    assert Heartbeat.select().count() == 2


def test_it_can_be_taken_back(database_url: str) -> None:
    runner = filled(database_url)
    runner.up(OURS)
    outbox.alert("fire", "It is on fire.", dedupe="fire")
    runner.down(OURS)
    tables = set(database.db.get_tables())
    assert not tables & {"outbox", "deliveries", "alerts"} and "submissions" in tables
    assert runner.up(OURS) == [OURS]


def test_an_empty_database_gets_the_tables_that_the_models_describe(database_url: str) -> None:
    kit.open_database(database_url)
    for model in (OutboxMessage, Delivery, Alert, Heartbeat, Submission):
        found = {column.name: column.null for column in database.db.get_columns(model._meta.table_name)}
        assert found == {field.column_name: field.null for field in model._meta.sorted_fields}
    for table, columns in (
        ("outbox", ["next_try_at"]), ("deliveries", ["destination", "at"]), ("events", ["at"]), ("webhook_receipts", ["at"]),
        ("submissions", ["stage", "fail_reason"]),
    ):
        assert columns in [index.columns for index in database.db.get_indexes(table)]
