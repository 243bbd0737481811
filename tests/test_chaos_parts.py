"""The drill's tools: what they rely on in the product and the stand-in is there, and processes are told apart."""
import os
import signal
import subprocess
import sys
from importlib import import_module

import pytest

from petsong.settings import Settings
from pipeline import wait_until
from scripts.chaos_run import house, launch, nemesis, proc
from scripts.sandbox.faults import FAULTS

SLEEPER = "import subprocess, time; subprocess.Popen(['sleep', '60']); time.sleep(60)"
MARK = "PETSONG_DRILL=a-mark-of-this-test"


def test_every_fault_of_the_nemesis_is_one_of_the_stand_in() -> None:
    assert {*nemesis.SHARES, *nemesis.SLOW, *nemesis.OUTAGES} <= set(FAULTS)


def test_every_scaled_setting_and_constant_is_one_of_the_product() -> None:
    assert {name.lower() for name in {**house.SCALED, **house.SMALL_VIDEOS, **house.WORKERS}} <= set(Settings.model_fields)
    for dotted, value in house.CONSTANTS.items():
        module, _, name = dotted.rpartition(".")
        assert getattr(import_module(module), name) > value


def test_a_constant_that_the_product_does_not_have_stops_the_drill(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.collect.UNREACHABLE_SECONDS", 600)  # put back afterwards
    launch.set_number("jobs.collect.UNREACHABLE_SECONDS", 1.5)
    assert import_module("jobs.collect").UNREACHABLE_SECONDS == 1.5
    with pytest.raises(SystemExit, match="no number"):
        launch.set_number("jobs.collect.NO_SUCH_SECONDS", 1)


def test_a_family_is_found_and_a_pid_alone_is_nobody() -> None:
    with subprocess.Popen([sys.executable, "-c", SLEEPER], env=dict(os.environ, PETSONG_DRILL="a-mark-of-this-test")) as head:
        try:
            wait_until(lambda: len(proc.family(head.pid)) == 2, 10, "the child")
            first, second = proc.family(head.pid)
            assert proc.children(head.pid) == [second]
            assert {one.pid for one in proc.with_mark(MARK)} == {first.pid, second.pid}
            assert first.lives() and not proc.Process(first.pid, "another beginning").lives()
            assert not proc.Process(first.pid, "another beginning").send(signal.SIGKILL)
            assert second.send(signal.SIGKILL)
            wait_until(lambda: not second.lives(), 5, "the child to end")
        finally:
            head.kill()
    assert proc.find(head.pid) is None
