"""A process of the product with some of its constants scaled, or with a double: for drills, never for the product.

    python -m scripts.chaos_run.launch [--set MODULE.NAME=NUMBER]... [--double MODULE.FUNCTION]... MODULE [ARGUMENT...]

The constants' names are checked, so that a drill does not go on silently when the product renames one. A double is a
function that changes what it wants before the process begins.
"""
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from gunicorn.app.wsgiapp import WSGIApplication


def set_number(dotted: str, value: float) -> None:
    """Raises SystemExit where there is no such number."""
    module, name = _place(dotted)
    if not isinstance(getattr(module, name, None), int | float):
        raise SystemExit(f"{dotted} is no number of the product any more: correct the drill")
    setattr(module, name, value)


def _place(dotted: str) -> tuple[Any, str]:
    module, _, name = dotted.rpartition(".")
    return import_module(module), name


def _gunicorn(arguments: list[str]) -> int:
    sys.argv = ["gunicorn", *arguments]
    WSGIApplication("%(prog)s [OPTIONS] [APP_MODULE]", prog="gunicorn").run()
    return 0


def _entry(name: str) -> Callable[[list[str]], int]:
    if name == "gunicorn":
        return _gunicorn
    main = import_module(name).main
    return lambda arguments: main(arguments) if arguments else main()


def run(arguments: list[str]) -> int:
    waiting = list(arguments)
    while waiting and waiting[0] in ("--set", "--double"):
        option, value = waiting.pop(0), waiting.pop(0)
        if option == "--set":
            dotted, _, number = value.partition("=")
            set_number(dotted, float(number))
        else:
            module, name = _place(value)
            getattr(module, name)()
    return _entry(waiting.pop(0))(waiting)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
