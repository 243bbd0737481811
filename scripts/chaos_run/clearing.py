"""An hour passes for the files: the product's own clearing away of what no row names, done at once.

A worker that is killed between the file and its row leaves a file that nobody names; the sweep removes it an hour later.
The drill can't wait for that, so it lets this hour be over and calls the same function.
"""
import tempfile
from contextlib import ExitStack
from unittest import mock

from jobs import tools, upkeep
from petsong import database, retention
from petsong.settings import load_settings
from scripts.chaos_run.house import House

OVER = -5  # seconds: every file is older than that


def clear_orphans(house: House) -> None:
    """After the product has stopped: nothing is written any more."""
    made = tools.make_tools(load_settings(house.env))
    database.connect_to(house.database_url)
    with ExitStack() as hour_later:
        hour_later.enter_context(mock.patch.object(retention, "ORPHAN_SECONDS", OVER))
        hour_later.enter_context(mock.patch.object(upkeep, "SCRATCH_SECONDS", OVER))
        # The jobs' scratch folders are in the house's own place; those of others on this machine are not ours.
        hour_later.enter_context(mock.patch.object(tempfile, "tempdir", house.env["TMPDIR"]))
        hour_later.enter_context(database.connection())
        upkeep.clear_orphans(made)
        upkeep.clear_scratch(made.settings.turn_cache)
