"""A rendered video in a real browser: it plays from its start, its middle and its end, and is seen and heard."""
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from microsite import Site
from render.video import render_video
from render_media import FFMPEG, photo, small_spec, song
from visitors import Visitor, until

pytest_plugins = "browser_fixtures"
pytestmark = [pytest.mark.browser, pytest.mark.slow]

SECONDS = 30.0
# Pictures are counted by the browser when it shows them; the sound is measured on its way to the loudspeaker.
LISTEN = """() => {
    const video = document.querySelector("video"), context = new AudioContext(), analyser = context.createAnalyser();
    context.createMediaElementSource(video).connect(analyser);
    analyser.connect(context.destination);
    const wave = new Float32Array(analyser.fftSize), canvas = document.createElement("canvas");
    canvas.width = canvas.height = 16;
    const pen = canvas.getContext("2d", {willReadFrequently: true});
    window.heard = {shown: 0, loudest: 0, looks: new Set()};
    const seen = () => {
        heard.shown += 1;
        pen.drawImage(video, 0, 0, 16, 16);
        heard.looks.add(pen.getImageData(0, 0, 16, 16).data.join());
        analyser.getFloatTimeDomainData(wave);
        heard.loudest = Math.max(heard.loudest, ...wave.map(Math.abs));
        video.requestVideoFrameCallback(seen);
    };
    video.requestVideoFrameCallback(seen);
    return context.resume();
}"""
PLAY_FROM = """async at => {
    const video = document.querySelector("video");
    video.pause();
    video.currentTime = at;
    await new Promise(sought => video.addEventListener("seeked", sought, {once: true}));
    const bytes = video.webkitAudioDecodedByteCount;
    Object.assign(heard, {shown: 0, loudest: 0, looks: new Set(), from: video.currentTime, bytes});
    await video.play();
}"""
ADVANCED = """() => {
    const video = document.querySelector("video");
    return video.currentTime > heard.from + 1 && heard.shown >= 5 && heard.looks.size >= 3 && heard.loudest > 0.05
        && video.webkitAudioDecodedByteCount > heard.bytes;
}"""


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rendered")
    spec = small_spec(size=240, fps=15)
    render_video(photo(folder / "pet.png"), song(seconds=SECONDS), folder / "video.mp4", spec, ffmpeg=FFMPEG)
    return folder / "video.mp4"


@pytest.fixture
def player(make_visitor: Callable[..., Visitor], site: Site, rendered: Path, poster: Path) -> Page:
    """The result page with the video in it, which has not been played yet."""
    page = make_visitor().page()
    site.song("song1", stage="rendering", entry_status="processing")
    site.finish("song1", rendered, poster)
    page.goto(f"{site.address}/result/song1")
    until(page, "document.querySelector('video').readyState >= 1")
    return page


def facts(page: Page) -> Any:
    return page.evaluate("""() => {
        const video = document.querySelector("video");
        return {at: video.currentTime, length: video.duration, width: video.videoWidth, ended: video.ended,
                error: video.error && video.error.message, ...heard, looks: heard.looks.size};
    }""")


def test_it_plays_with_sound_from_start_middle_and_end(player: Page) -> None:
    answers: list[tuple[int, str]] = []
    player.on("response", lambda answer: answers.append((answer.status, answer.url)))
    player.evaluate(LISTEN)
    for start in (0.0, SECONDS / 2, SECONDS - 5):
        player.evaluate(PLAY_FROM, start)
        player.wait_for_function(ADVANCED, timeout=20_000)
        found = facts(player)
        assert found["error"] is None and abs(found["from"] - start) < 0.2
        assert found["length"] == pytest.approx(SECONDS, abs=1 / 15) and found["width"] == 240
    assert all(status in (200, 206) for status, address in answers if "/storage/video/" in address)


def test_it_plays_to_its_very_end(player: Page) -> None:
    player.evaluate(LISTEN)
    player.evaluate(PLAY_FROM, SECONDS - 1.5)
    until(player, "document.querySelector('video').ended")
    found = facts(player)
    assert found["at"] == pytest.approx(SECONDS, abs=0.1) and found["error"] is None
    assert found["shown"] >= 5 and found["loudest"] > 0.05
