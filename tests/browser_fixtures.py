"""Fixtures for the test_browser_ files, which name this module in `pytest_plugins`: Debian's Chromium, the site, files.

Nobody works on the songs here: the tests themselves move them on.
"""
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from microsite import Site, make_assets
from visitors import Visitor

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    make_assets()
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def make_site(tmp_path: Path, empty_redis: str) -> Iterator[Callable[..., Site]]:
    with ExitStack() as stack:
        yield lambda **changes: stack.enter_context(Site(tmp_path, empty_redis, **changes).serve())


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    return make_site()


@pytest.fixture
def make_visitor(browser: Browser) -> Iterator[Callable[..., Visitor]]:
    """Every visit must end without a CSP violation, an uncaught error or a complaint on the console."""
    visitors: list[Visitor] = []

    def make(**options: Any) -> Visitor:
        visitors.append(Visitor(browser, **options))
        return visitors[-1]

    yield make
    for visitor in visitors:
        visitor.context.close()
        assert visitor.complaints == []


@pytest.fixture
def page(make_visitor: Callable[..., Visitor]) -> Page:
    return make_visitor().page()


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "song.mp4"
    argv = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "color=red:s=64x64:r=10:d=2", "-f", "lavfi", "-i", "sine=d=2"]
    subprocess.run([*argv, "-pix_fmt", "yuv420p", "-shortest", "-movflags", "+faststart", path], check=True, timeout=60)
    return path


@pytest.fixture
def poster(tmp_path: Path) -> Path:
    path = tmp_path / "poster.jpg"
    Image.new("RGB", (720, 720), "pink").save(path)
    return path
