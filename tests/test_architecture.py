"""Imports go one way, jobs' names lead to functions, and one module alone reads the environment."""
import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit import repository
from petsong.queues import JOBS
from petsong.settings import QUEUE_NAMES

ROOT = repository()
OURS = ("petsong", "jobs", "render", "scripts", "tests", "wsgi")
MAY_IMPORT = {
    "petsong": {"petsong"},
    "jobs": {"jobs", "petsong", "render"},
    "render": {"render"},
    "scripts": set(OURS),
}
PRODUCT = ("petsong", "jobs", "render")
OF_RENDER = {"PIL", "mutagen", "imageio_ffmpeg"}
# The last is an optional extra, looked for only where no other ffmpeg is found.
IMPORTS_WITHIN = {"render/ffmpeg.py": {"imageio_ffmpeg"}}
# A pool goes on whatever a duty of it does, and logs the traceback; no job runs within.
MAY_CATCH_ALL = {"jobs/worker.py"}
# rq-scheduler reads cron strings in local time: its process sets its own zone. ffmpeg gets a few harmless variables of ours.
READERS_OF_THE_ENVIRONMENT = {"petsong/settings.py", "jobs/schedule.py", "render/ffmpeg.py"}


def files(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    assert len(found) >= len(folders), f"nothing found in {folders}"
    return found


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def imports(node: ast.AST) -> Iterator[str]:
    """Dotted names that a file imports, at any depth, also by importlib and __import__ with a constant name."""
    for found in ast.walk(node):
        if isinstance(found, ast.Import):
            yield from (alias.name for alias in found.names)
        elif isinstance(found, ast.ImportFrom):
            assert not found.level, "relative imports hide where they lead"
            yield found.module or ""
        elif isinstance(found, ast.Call) and ast.unparse(found.func) in ("importlib.import_module", "import_module",
            "__import__"):
            yield ast.literal_eval(found.args[0]) if found.args and isinstance(found.args[0], ast.Constant) else "?"


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_imports_go_one_way(folder: str) -> None:
    wrong = [
        f"{name_of(path)} imports {name}" for path in files(folder) for name in imports(tree(path))
        if name.partition(".")[0] in OURS and name.partition(".")[0] not in MAY_IMPORT[folder]
    ]
    assert wrong == []


def test_wsgi_imports_the_site_alone() -> None:
    found = list(imports(tree(ROOT / "wsgi.py")))
    assert "petsong.web" in found and {name.partition(".")[0] for name in found} <= {"petsong", "sys"}


def test_render_needs_the_standard_library_and_two_more() -> None:
    roots = {name.partition(".")[0] for path in files("render") for name in imports(tree(path))}
    assert roots - set(sys.stdlib_module_names) - {"render"} <= OF_RENDER


@pytest.mark.parametrize(("module", "stays_out"), [
    ("render", {"flask", "peewee", "redis", "rq", "petsong", "jobs"}),
    ("render.__main__", {"flask", "peewee", "redis", "rq", "petsong", "jobs", "pydantic", "requests"}),
    ("petsong.web", {"jobs", "render", "rq_scheduler", "scripts"}),
    ("petsong.lifecycle.recovery", {"flask", "redis", "rq", "jobs", "render"}),
    ("petsong.models", {"flask", "redis", "rq", "requests"}),
])
def test_a_fresh_interpreter_loads_no_more_than_it_should(module: str, stays_out: set[str]) -> None:
    code = f"import sys, {module}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert set(run.stdout.split()) & stays_out == set()


def test_every_job_leads_to_a_function_that_takes_what_it_is_sent() -> None:
    for job, kind in JOBS.items():
        module, _, function = kind.function.rpartition(".")
        found = getattr(importlib.import_module(module), function)
        assert inspect.isfunction(found) and function == job
        required = [p for p in inspect.signature(found).parameters.values() if p.default is p.empty]
        assert len(required) <= 1, f"{job} takes ids only"
        assert kind.queue in QUEUE_NAMES and kind.timeout > 0


def test_no_import_hides_in_a_function() -> None:
    hidden: dict[str, set[str]] = {}
    for path in files(*PRODUCT):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (names := set(imports(node))):
                hidden.setdefault(name_of(path), set()).update(names)
    assert hidden == IMPORTS_WITHIN


ENVIRONMENT = re.compile(r"\b(environb?|getenv|putenv|dotenv_values|load_dotenv)\b")


def reads_environment(path: Path) -> bool:
    """By attribute, by name or by an import of one, in whatever spelling."""
    names: list[str] = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Attribute | ast.Name):
            names.append(node.attr if isinstance(node, ast.Attribute) else node.id)
        elif isinstance(node, ast.ImportFrom):
            names += [alias.name for alias in node.names]
    # `environ` alone may be a parameter's name; where it is one, something else gives it its value.
    return any(ENVIRONMENT.fullmatch(name) for name in names)


def test_one_module_reads_the_environment() -> None:
    readers = {name_of(path) for path in files(*PRODUCT) if reads_environment(path)}
    assert readers == READERS_OF_THE_ENVIRONMENT


def changes(path: Path) -> Iterator[tuple[ast.Call, str, str, set[str | None]]]:
    """(call, receiver, method, keywords) of everything that may write a row."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("update", "insert",
            "save"):
            keywords = {keyword.arg for keyword in node.keywords}
            yield node, ast.unparse(node.func.value), node.func.attr, keywords


def test_only_the_lifecycle_changes_stages_and_attempts() -> None:
    """A stage or an attempt is written in petsong/lifecycle alone; retention forgets an attempt's words. No whole rows."""
    wrong = []
    for path in files("petsong", "jobs"):
        if {"lifecycle", "migrations"} & set(path.parts):
            continue
        for call, receiver, method, keywords in changes(path):
            stage = receiver == "Submission" and keywords & {"stage", "entry_status", "claim_no", "lease_until"}
            attempt = receiver == "Attempt" and keywords != {"outcome_detail"}
            whole_row = method == "save" and not call.args
            if stage or attempt or whole_row:
                wrong.append(f"{name_of(path)}:{call.lineno} {ast.unparse(call)[:60]}")
    assert wrong == []


def test_nothing_is_swallowed_whole() -> None:
    """`except Exception` only where the error is raised on, or answered as a 500: it would swallow a job's timeout."""
    wrong = []
    for path in files(*PRODUCT):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ExceptHandler) and (node.type is None or ast.unparse(node.type).endswith("Exception")):
                raises = any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
                if not raises and name_of(path) not in MAY_CATCH_ALL:
                    wrong.append(f"{name_of(path)}:{node.lineno}")
    assert wrong == []


def test_no_process_is_started_through_a_shell() -> None:
    wrong = [
        f"{name_of(path)}:{node.lineno}" for path in files(*PRODUCT) for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and (
            ast.unparse(node.func) in ("os.system", "os.popen", "subprocess.getoutput")
            or any(keyword.arg == "shell" for keyword in node.keywords)
        )
    ]
    assert wrong == []
