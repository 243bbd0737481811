"""The migration that brings the desk's switches, its log and the overview's indexes, on a database that is in use."""
from playhouse.migrations import Runner

import kit
from migrations_kit import at_version, insert
from petsong import audit, credits, database
from petsong.models import CreditReading, OperatorAction, Switch

BEFORE, DESK = "0003_submissions_list", "0004_desk"


def filled(url: str) -> Runner:
    """A database of the version before, with a reading of the balance in it."""
    runner = at_version(url, BEFORE)
    insert("credit_readings", {"at": database.now(), "usable": 4200})
    return runner


def test_readings_stay_and_the_new_tables_work(database_url: str) -> None:
    runner = filled(database_url)
    assert runner.up(DESK) == [DESK]
    assert [(kept.usable, kept.unexplained) for kept in CreditReading.select()] == [(4200, None)]
    assert credits.record_reading(kit.make_settings(database_url), 4200).unexplained == 0
    audit.record("Kim", "campaign_opened", subject="valentines")
    Switch.insert(name="spending", value={"lifted_until": "2027-01-01T00:00:00+00:00"}).execute()
    assert [done.who for done in audit.latest()] == ["Kim"]


def test_processes_of_the_version_before_go_on_while_it_is_brought_in(database_url: str) -> None:
    filled(database_url).up(DESK)
    insert("credit_readings", {"at": database.now(), "usable": 4100})
    assert [reading.usable for reading in CreditReading.select().order_by(CreditReading.at)] == [4200, 4100]


def test_it_can_be_taken_back(database_url: str) -> None:
    runner = filled(database_url)
    runner.up(DESK)
    audit.record("Kim", "campaign_opened")
    runner.down(DESK)
    assert database.db.execute_sql("SELECT usable FROM credit_readings").fetchall() == [(4200,)]
    assert not {"switches", "operator_actions"} & set(database.db.get_tables())
    assert runner.up(DESK) == [DESK]


def test_an_empty_database_gets_what_the_models_describe(database_url: str) -> None:
    kit.open_database(database_url)
    for model in (CreditReading, OperatorAction, Switch):
        columns = {column.name for column in database.db.get_columns(model._meta.table_name)}
        assert columns == {field.column_name for field in model._meta.sorted_fields}
    indexes = {index.name: index.columns for table in ("submissions", "attempts") for index in database.db.get_indexes(table)}
    assert indexes["submissions_stage_stage_since"] == ["stage", "stage_since"]
    assert indexes["attempts_called"] == ["call_started_at"]
