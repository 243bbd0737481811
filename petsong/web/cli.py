"""What every operator's command shares: a database connection, --json, one line for what cannot be done.

Exit codes: 0 done, 1 it cannot be done (one line says why and what helps), 2 wrong arguments.
"""
import functools
import getpass
import json
from collections.abc import Callable
from typing import Any

import click
from flask.cli import with_appcontext

from petsong import database
from petsong.lifecycle.claims import ClaimLost
from petsong.lifecycle.operator import ImpossibleMove


class Refused(Exception):
    """One line for the operator: why not, and what helps."""


def command(name: str) -> Callable[[Callable[..., tuple[Any, str]]], click.Command]:
    """A command with a database connection; its function returns what --json prints and what people read."""

    def wrap(function: Callable[..., tuple[Any, str]]) -> click.Command:
        @click.option("--json", "as_json", is_flag=True, help="Print one JSON line.")
        @with_appcontext
        @functools.wraps(function)
        def run(as_json: bool, **arguments: Any) -> None:
            try:
                with database.connection():
                    data, text = function(**arguments)
            except (Refused, ImpossibleMove, ClaimLost, database.DatabaseLost) as error:
                _refuse(str(error), as_json)
            click.echo(json.dumps(data) if as_json else text)

        return click.command(name)(run)

    return wrap


def _refuse(message: str, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"success": False, "error": message}))
    raise SystemExit(1) if as_json else click.ClickException(message)


def user() -> str:
    """Who runs this command, by the system's account."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return "operator"
