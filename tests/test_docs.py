"""What the documents say of the product is so: settings, processes, stages, addresses, files, commands, links."""
import importlib.util
import io
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dotenv import dotenv_values
from flask import Flask

from kit import make_settings
from petsong import database
from petsong.lifecycle.stages import MOVES, REVIVALS, Stage
from petsong.migrate import migrate
from petsong.settings import QUEUE_NAMES, Settings, describe, load_settings
from petsong.web import commands, create_app
from scripts import doc_tables

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.M | re.S)
PLACE = re.compile(r"(?<![\w./-])(?:petsong|jobs|render|scripts|docs|tests)/[\w./-]*\w|\bgunicorn\.conf\.py|\bwsgi\.py")

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def table_below(heading: str) -> list[list[str]]:
    """Cells of the first table after a heading of the README, without its head."""
    section = read("README.md").partition(f"\n## {heading}\n")[2]
    assert section, f"no {heading} in the README"
    found = re.search(r"^\|.*\|\n\|[-|]+\|\n((?:\|.*\|\n)+)", section, re.M)
    assert found, f"no table below {heading}"
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in found[1].splitlines()]


# ---- settings

def test_readme_and_env_example_say_what_the_settings_are() -> None:
    assert doc_tables.stale() == {}, "run: python -m scripts.doc_tables"


def test_readmes_table_has_a_row_for_each_setting() -> None:
    rows = {row[0]: row[1].strip("`") for row in table_below("Settings")}
    assert rows == {name: default for name, default, _ in describe()}


def test_env_example_uncommented_gives_the_defaults() -> None:
    text = re.sub(r"^#(?=[A-Z_]+=)", "", read(".env.example"), flags=re.M).replace("SECRET_KEY=", f"SECRET_KEY={'k' * 32}")
    values = {name: value or "" for name, value in dotenv_values(stream=io.StringIO(text)).items()}
    assert list(values) == [name for name, _, _ in describe()]
    assert load_settings(values) == Settings(secret_key="k" * 32)


def test_env_example_as_it_is_sets_nothing() -> None:
    values = dotenv_values(stream=io.StringIO(read(".env.example")))
    assert values == {"SECRET_KEY": ""}


def test_env_example_has_all_its_groups() -> None:
    assert all(f"# ---- {title}\n" in read(".env.example") for title in doc_tables.GROUPS.values())


def test_a_table_that_lags_behind_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "README.md").write_text(read("README.md").replace("| `8000` |", "| `8001` |"), "utf-8")
    monkeypatch.setattr(doc_tables, "ROOT", tmp_path)
    assert set(doc_tables.stale()) == {"README.md", ".env.example"}
    assert doc_tables.main(["--check"]) == 1
    assert doc_tables.main([]) == 0 and doc_tables.main(["--check"]) == 0
    assert (tmp_path / "README.md").read_text("utf-8") == read("README.md")


# ---- processes

def procfile() -> dict[str, str]:
    return dict(line.split(": ", 1) for line in read("Procfile").splitlines())  # type: ignore[misc]


def test_readmes_process_table_is_the_procfile() -> None:
    assert {row[0]: row[1].strip("`") for row in table_below("Processes")} == procfile()


def test_the_procfiles_processes_serve_every_queue() -> None:
    pools = [command.split()[3:] for command in procfile().values() if "jobs.worker" in command]
    assert sorted(queue for pool in pools for queue in pool) == sorted(QUEUE_NAMES)


def test_the_worker_counts_of_the_readme_are_right_settings() -> None:
    section = read("README.md").partition("| cores |")[2].partition("\n\n")[0]
    counts = re.findall(r"`(dispatch:[^`]+)`", section)
    assert len(counts) == 3
    computing = []
    for value in counts:
        workers = load_settings({"SECRET_KEY": "k" * 32, "WORKERS": value}).workers
        assert set(workers) == set(QUEUE_NAMES) and min(workers.values()) > 0
        computing.append(workers["renders"] + workers["downloads"])
    assert computing[:2] == [2, 4] and 6 <= computing[2] <= 8


Gunicorn = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def gunicorn(tmp_path: Path) -> Gunicorn:
    """gunicorn("--option", VARIABLE="value"), with no database yet. It loads the app for --print-config, too."""
    known = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME")}
    ours = {"SECRET_KEY": "k" * 32, "DATABASE_URL": f"sqlite:///{tmp_path}/new.db", "VIDEO_STORAGE": str(tmp_path)}

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "gunicorn", *arguments, "wsgi:app"]
        return subprocess.run(
            argv, cwd=ROOT, env={**known, **ours, **variables}, capture_output=True, text=True, timeout=60
        )

    return run


def test_gunicorn_takes_its_configuration_from_the_settings(gunicorn: Gunicorn) -> None:
    said = gunicorn("--print-config", PORT="8123", WEB_CONCURRENCY="3").stdout
    values = dict(re.findall(r"^(\w+) += (.*)$", said, re.M))
    assert values["bind"] == "['0.0.0.0:8123']" and values["workers"] == "3" and values["threads"] == "8"
    assert values["worker_class"] == "gthread" and values["control_socket_disable"] == "True"
    assert values["accesslog"] == "None" and values["forwarded_allow_ips"] == "[]"


def test_options_on_gunicorns_command_line_win(gunicorn: Gunicorn) -> None:
    said = gunicorn("--print-config", "--bind", "127.0.0.1:8124", "--workers", "1", PORT="8123").stdout
    assert "['127.0.0.1:8124']" in said and re.search(r"^workers += 1$", said, re.M)


def test_gunicorn_ends_with_one_line_on_a_wrong_setting(gunicorn: Gunicorn) -> None:
    ended = gunicorn(PORT="eighty")
    assert ended.returncode == 1 and ended.stderr.startswith("PORT: ")
    assert ended.stderr.count("\n") == 1


def test_gunicorn_ends_with_one_line_while_migrations_are_pending(gunicorn: Gunicorn) -> None:
    ended = gunicorn(PORT="8125")
    assert ended.returncode == 1
    assert "Run: python -m petsong.migrate" in ended.stderr.splitlines()[-1] and "Traceback" not in ended.stderr


# ---- stages

def test_readmes_state_diagram_has_the_moves_of_the_lifecycle() -> None:
    diagram = read("README.md").partition("stateDiagram-v2")[2].partition("```")[0]
    shown = set(re.findall(r"^    (\w+) --> (\w+)", diagram, re.M))
    moves = {(str(origin), str(target)) for origin, targets in MOVES.items() for target in targets}
    assert shown == moves | {(str(Stage.FAILED), str(stage)) for stage in REVIVALS}


# ---- addresses and commands

@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    settings = make_settings(f"sqlite:///{tmp_path}/petsong.db", video_storage=tmp_path)
    migrate(database.connect_to(settings.database_url))
    yield create_app(settings)
    if not database.db.is_closed():
        database.db.close()


def test_every_address_of_the_readme_exists(app: Flask) -> None:
    rules = {
        (method, re.sub(r"<[^>]+>", "<>", rule.rule)) for rule in app.url_map.iter_rules() for method in rule.methods or ()
    }
    cells = " ".join(cell for row in table_below("HTTP API") for cell in row)
    named = re.findall(r"`(GET|POST) (/[^`?]+)`", cells) + [("GET", path) for path in re.findall(r"`(/storage[^`]+)`", cells)]
    assert len(named) >= 12
    for method, path in named:
        assert (method, re.sub(r"<[^>]+>", "<>", path)) in rules, f"{method} {path}"


@each_document
def test_flask_commands_exist(document: Path) -> None:
    app = Flask("commands")
    commands.register(app)
    for name in re.findall(r"flask --app wsgi ([\w-]+)", document.read_text("utf-8")):
        assert name in app.cli.commands, f"{document.name}: flask --app wsgi {name}"


@each_document
def test_modules_that_are_run_exist(document: Path) -> None:
    for name in re.findall(r"python -m ([\w.]+\w)", document.read_text("utf-8")):
        found = importlib.util.find_spec(name)
        assert found is not None, f"{document.name}: python -m {name}"
        if found.submodule_search_locations is not None:
            assert importlib.util.find_spec(f"{name}.__main__"), f"{document.name}: {name} cannot be run"


# ---- files and links

@each_document
def test_files_that_are_named_exist(document: Path) -> None:
    for place in PLACE.findall(document.read_text("utf-8")):
        assert (ROOT / place).exists(), f"{document.name}: {place}"


def anchors(text: str) -> set[str]:
    """As GitHub makes them from headings."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_document
def test_links_resolve_inside_the_project(document: Path) -> None:
    for link in LINK.findall(FENCE.sub("", document.read_text("utf-8"))):
        assert "://" not in link, f"{document.name}: {link} leads out of the project"
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.is_relative_to(ROOT) and target.exists(), f"{document.name}: {link}"
        assert not anchor or anchor in anchors(target.read_text("utf-8")), f"{document.name}: {link}"


@each_document
def test_lines_of_code_blocks_have_no_shell_prompt(document: Path) -> None:
    """So that they can be copied as they are."""
    for block in FENCE.findall(document.read_text("utf-8")):
        assert not re.search(r"^[$>] ", block, re.M), document.name
