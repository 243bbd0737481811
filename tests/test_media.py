"""/storage: finished files with ranges, revalidation and friendly names; nothing else is ever served."""
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

import pytest
import requests

from api_kit import Api, Gunicorn, on_sqlite
from petsong import database, retention
from petsong.models import Submission

pytest_plugins = "api_fixtures"

DATA = bytes(number % 251 for number in range(200_000))
SIZE = len(DATA)
VIDEO = "/storage/video/song1.mp4"


@pytest.fixture
def site(api: Api) -> Api:
    return add_song(api)


def add_song(api: Api, **changes: Any) -> Api:
    api.song("song1", **{"generated_video_path": "video/song1.mp4", **changes})
    api.parts.storage.put_bytes("video/song1.mp4", DATA)
    return api


def ask(api: Api, method: str = "GET", path: str = VIDEO, **headers: str) -> Any:
    """The answer, read to its end and closed."""
    with api.client.open(path, method=method, headers=headers) as answer:
        answer.body = answer.data
        return answer


def check_private(answer: Any) -> None:
    assert "private" in answer.headers["Cache-Control"] and "no-cache" in answer.headers["Cache-Control"]
    assert answer.headers["X-Robots-Tag"] == "noindex"


# ---- whole files

def test_a_finished_video_is_served(site: Api) -> None:
    answer = ask(site)
    assert (answer.status_code, answer.body, answer.headers["Content-Type"]) == (200, DATA, "video/mp4")
    assert (answer.headers["Content-Length"], answer.headers["Accept-Ranges"]) == (str(SIZE), "bytes")
    assert answer.headers["ETag"].startswith('"')
    assert "Content-Disposition" not in answer.headers
    check_private(answer)


def test_head_says_the_same_without_the_body(site: Api) -> None:
    whole, head = ask(site), ask(site, "HEAD")
    assert (head.status_code, head.body) == (200, b"")
    for name in ("Content-Length", "Content-Type", "ETag", "Accept-Ranges", "Cache-Control"):
        assert head.headers[name] == whole.headers[name]


def test_an_unchanged_file_is_304(site: Api) -> None:
    tag = ask(site).headers["ETag"]
    for given in (tag, f'"other", {tag}', "*", f"W/{tag}"):
        for method in ("GET", "HEAD"):
            answer = ask(site, method, **{"If-None-Match": given})
            assert (answer.status_code, answer.body, answer.headers["ETag"]) == (304, b"", tag)
            check_private(answer)
    assert ask(site, **{"If-None-Match": '"other"'}).status_code == 200
    assert ask(site, **{"If-None-Match": tag, "Range": "bytes=0-1"}).status_code == 304


def test_a_file_that_was_made_anew_has_another_tag(site: Api) -> None:
    tag = ask(site).headers["ETag"]
    site.parts.storage.put_bytes("video/song1.mp4", DATA[:-1] + b"!")
    answer = ask(site, **{"If-None-Match": tag})
    assert (answer.status_code, answer.body[-1:]) == (200, b"!")


# ---- ranges

@on_sqlite
@pytest.mark.parametrize(("asked", "first", "last"), [
    ("bytes=0-0", 0, 0), ("bytes=0-", 0, SIZE - 1), ("bytes=0-99", 0, 99), ("bytes=100-199", 100, 199), ("bytes=5-5", 5, 5),
    (f"bytes={SIZE - 1}-", SIZE - 1, SIZE - 1), (f"bytes={SIZE - 1}-{SIZE - 1}", SIZE - 1, SIZE - 1),
    (f"bytes=0-{SIZE - 1}", 0, SIZE - 1), (f"bytes=0-{SIZE}", 0, SIZE - 1), (f"bytes=10-{SIZE * 10}", 10, SIZE - 1),
    ("bytes=-1", SIZE - 1, SIZE - 1), ("bytes=-500", SIZE - 500, SIZE - 1), (f"bytes=-{SIZE}", 0, SIZE - 1),
    (f"bytes=-{SIZE + 1}", 0, SIZE - 1), (f"bytes=-{SIZE * 10}", 0, SIZE - 1), ("bytes=65535-65536", 65535, 65536),
    ("bytes=65536-131071", 65536, 131071), ("Bytes=1-2", 1, 2), ("bytes= 1-2 ", 1, 2),
])
def test_one_range_is_exactly_what_was_asked(site: Api, asked: str, first: int, last: int) -> None:
    answer = ask(site, Range=asked)
    assert answer.status_code == 206
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{SIZE}"
    assert answer.headers["Content-Length"] == str(last - first + 1)
    assert answer.body == DATA[first:last + 1]
    assert answer.headers["ETag"] == ask(site).headers["ETag"] and answer.headers["Content-Type"] == "video/mp4"
    check_private(answer)


@on_sqlite
@pytest.mark.parametrize("asked", [f"bytes={SIZE}-", f"bytes={SIZE}-{SIZE + 5}", f"bytes={SIZE * 10}-", "bytes=-0"])
def test_a_range_beyond_the_end_is_416(site: Api, asked: str) -> None:
    answer = ask(site, Range=asked)
    assert (answer.status_code, answer.body, answer.headers["Content-Range"]) == (416, b"", f"bytes */{SIZE}")


@on_sqlite
@pytest.mark.parametrize("asked", [
    "bytes=0-1,5-6", "bytes=0-0,-1", "bytes=9-5", "bytes=", "bytes=-", "bytes=a-b", "bytes=1", "bytes=--5", "bytes=1-2-3",
    "items=0-5",
    "bytes 0-5", "0-5", "", "bytes=0x1-5", "bytes=+1-5", "bytes=1.0-2", "bytes=1-2;", f"bytes={'9' * 5000}-",
])
def test_several_ranges_and_nonsense_get_the_whole_file(site: Api, asked: str) -> None:
    answer = ask(site, Range=asked)
    assert (answer.status_code, len(answer.body)) == (200, SIZE)
    assert "Content-Range" not in answer.headers


def test_head_ignores_ranges(site: Api) -> None:
    answer = ask(site, "HEAD", Range="bytes=0-9")
    assert (answer.status_code, answer.body, answer.headers["Content-Length"]) == (200, b"", str(SIZE))


def test_if_range_gives_the_range_only_of_the_same_file(site: Api) -> None:
    tag = ask(site).headers["ETag"]
    assert ask(site, Range="bytes=0-9", **{"If-Range": tag}).status_code == 206
    for other in ('"other"', f"W/{tag}", "Sat, 21 Nov 2026 06:00:00 GMT", "nonsense"):
        answer = ask(site, Range="bytes=0-9", **{"If-Range": other})
        assert (answer.status_code, len(answer.body)) == (200, SIZE)


def test_an_empty_file_has_no_range(site: Api) -> None:
    site.parts.storage.put_bytes("video/song1.mp4", b"")
    assert ask(site).body == b""
    for asked in ("bytes=0-", "bytes=0-0", "bytes=-1"):
        assert ask(site, Range=asked).status_code == 416


# ---- names of downloads

@pytest.mark.parametrize(("pet_name", "plain"), [
    ("Biscuit", "Biscuit - Pet love songs for Valentine's Day.mp4"), ("Zoë", "Zo_ - Pet love songs for Valentine's Day.mp4"),
    ("रानी", "____ - Pet love songs for Valentine's Day.mp4"), ('a"b\\c/d', "a_b-c-d - Pet love songs for Valentine's Day.mp4"),
    ("a\r\nX-Evil: 1", None),
])
def test_a_download_has_a_friendly_name(api: Api, pet_name: str, plain: str | None) -> None:
    add_song(api, pet_name=pet_name)
    answer = ask(api, path=f"{VIDEO}?download=1")
    value = answer.headers["Content-Disposition"]
    assert (answer.status_code, answer.body) == (200, DATA)
    assert value.startswith("attachment; filename=") and "X-Evil" not in answer.headers
    assert "\r" not in value and "\n" not in value
    if plain:
        assert f'filename="{plain}"' in value
        friendly = unquote(value.partition("filename*=UTF-8''")[2])
        assert friendly == f"{pet_name} - Pet love songs for Valentine's Day.mp4".replace("/", "-").replace("\\", "-")
        assert friendly == api.get("/api/results/song1").get_json()["downloads"][0]["filename"]


@on_sqlite
@pytest.mark.parametrize("query", ["", "?download=", "?download=0", "?download=true", "?other=1"])
def test_only_download_1_is_an_attachment(site: Api, query: str) -> None:
    assert "Content-Disposition" not in ask(site, path=VIDEO + query).headers


def test_a_download_can_be_resumed(site: Api) -> None:
    answer = ask(site, path=f"{VIDEO}?download=1", Range="bytes=100-")
    assert (answer.status_code, answer.body) == (206, DATA[100:])


# ---- pictures and captions

@pytest.mark.parametrize("kind", ["poster", "preview"])
def test_pictures_of_a_song_are_served(site: Api, kind: str) -> None:
    assert ask(site, path=f"/storage/{kind}/song1.jpg").status_code == 404
    site.add_rendition("song1", kind, b"a picture")
    answer = ask(site, path=f"/storage/{kind}/song1.jpg")
    assert (answer.status_code, answer.body, answer.headers["Content-Type"]) == (200, b"a picture", "image/jpeg")
    assert ask(site, path=f"/storage/{kind}/song1.jpg", Range="bytes=2-4").body == b"pic"
    check_private(answer)


@pytest.mark.parametrize(("kind", "label"), [("hd", "HD"), ("story", "Story")])
def test_further_formats_are_served_like_the_video(site: Api, kind: str, label: str) -> None:
    path = f"/storage/video/song1.{kind}.mp4"
    assert ask(site, path=path).status_code == 404
    site.add_rendition("song1", kind, DATA[::-1])
    answer = ask(site, path=path)
    assert (answer.status_code, answer.body, answer.headers["Content-Type"]) == (200, DATA[::-1], "video/mp4")
    assert "Content-Disposition" not in answer.headers
    check_private(answer)
    assert ask(site, "HEAD", path=path).headers["Content-Length"] == str(SIZE)
    part = ask(site, path=path, Range="bytes=-3")
    assert (part.status_code, part.body) == (206, DATA[2::-1])
    assert part.headers["Content-Range"] == f"bytes {SIZE - 3}-{SIZE - 1}/{SIZE}"
    assert ask(site, path=path, **{"If-None-Match": answer.headers["ETag"]}).status_code == 304
    name = ask(site, path=f"{path}?download=1").headers["Content-Disposition"]
    assert f'filename="Biscuit - Pet love songs for Valentine\'s Day ({label}).mp4"' in name
    assert ask(site).body == DATA


def test_a_format_that_is_ordered_but_not_made_is_404(site: Api) -> None:
    site.order_formats("song1", "hd")
    assert ask(site, path="/storage/video/song1.hd.mp4").status_code == 404


@on_sqlite
def test_only_the_formats_have_addresses_as_videos(site: Api) -> None:
    for kind in ("poster", "preview", "square", "hd2"):
        site.add_rendition("song1", kind, b"not a video")
    for kind in ("poster", "preview", "square", "hd2", "HD", "", "hd.hd", "../hd"):
        assert ask(site, path=f"/storage/video/song1.{kind}.mp4").status_code == 404, kind
    assert "(" not in ask(site, path="/storage/poster/song1.jpg?download=1").headers["Content-Disposition"]


def test_captions_are_made_from_the_word_timing(site: Api) -> None:
    path = "/storage/captions/song1.vtt"
    assert ask(site, path=path).status_code == 404
    site.change("song1", word_timing=[{"word": "रानी", "start": 0.5, "end": 1.25}])
    answer = ask(site, path=path)
    assert answer.body.decode() == "WEBVTT\n\n00:00:00.500 --> 00:00:01.250\nरानी\n"
    assert answer.headers["Content-Type"] == "text/vtt; charset=utf-8"
    assert ask(site, path=path, **{"If-None-Match": answer.headers["ETag"]}).status_code == 304
    check_private(answer)


# ---- what is not public

@pytest.mark.parametrize("changes", [
    {"stage": "rendering", "entry_status": "processing"}, {"stage": "failed", "entry_status": "fail"},
    {"stage": "queued", "entry_status": "pending"}, {"generated_video_path": None}, {"generated_video_path": "video/gone.mp4"},
])
def test_only_finished_songs_are_public(api: Api, changes: dict[str, Any]) -> None:
    add_song(api, **changes)
    assert ask(api).status_code == 404
    assert ask(api, "HEAD").status_code == 404


def test_an_expired_song_is_gone(site: Api) -> None:
    site.add_rendition("song1", "poster", b"x")
    with database.connection():
        retention.forget(site.settings, site.parts.storage, Submission.get_by_id("song1"))
    site.add_rendition("song1", "hd", b"x")
    for path in (VIDEO, "/storage/video/song1.hd.mp4", "/storage/poster/song1.jpg", "/storage/captions/song1.vtt"):
        assert ask(site, path=path).status_code == 404


def test_a_song_marked_expired_is_gone_before_its_files_are(site: Api) -> None:
    with database.connection():
        site_moment = database.now() - timedelta(seconds=1)
    site.change("song1", files_removed_at=site_moment)
    assert ask(site).status_code == 404


@on_sqlite
def test_uploads_and_audio_are_never_served(site: Api) -> None:
    for key in ("uploads/song1.jpg", "audio/song1.mp3"):
        site.parts.storage.put_bytes(key, b"private")
    site.change("song1", generated_song_path="audio/song1.mp3")
    for path in (
        "/storage/uploads/song1.jpg", "/storage/audio/song1.mp3", "/uploads/song1.jpg", "/storage/video/../uploads/song1.jpg",
        "/storage/video/..%2fuploads%2fsong1.jpg", "/storage/video/%2e%2e/audio/song1.mp3", "/storage/audio/song1.mp4",
        "/storage/poster/song1.mp3", "/storage/video/song1.jpg", "/static/../storage/uploads/song1.jpg", "/storage/",
        "/storage",
        "/storage/video/", "/storage/video/.mp4", "/storage/video//etc/passwd.mp4", "/storage/video/song1%00.mp4",
    ):
        answer = ask(site, path=path)
        assert answer.status_code == 404 and b"private" not in answer.body, path


@on_sqlite
def test_files_are_only_read(site: Api) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert ask(site, method).status_code == 405


def test_a_file_that_goes_between_two_looks_is_404(site: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = site.parts.storage
    real = storage.stat

    def stat_then_lose(key: str) -> Any:
        facts = real(key)
        storage.delete(key)
        return facts

    monkeypatch.setattr(storage, "stat", stat_then_lose)
    assert ask(site).status_code == 404


# ---- sent by others

@pytest.mark.parametrize(("how", "header"), [("x-accel", "X-Accel-Redirect"), ("x-sendfile", "X-Sendfile")])
def test_a_proxy_may_send_the_file(make_api: Callable[..., Api], how: str, header: str) -> None:
    api = add_song(make_api(sendfile=how))
    answer = ask(api, path=f"{VIDEO}?download=1")
    file = str((api.settings.video_storage / "song1.mp4").resolve())
    assert answer.headers[header] == (file if how == "x-sendfile" else "/internal-storage/video/song1.mp4")
    assert (answer.status_code, answer.body, answer.headers["Content-Type"]) == (200, b"", "video/mp4")
    assert answer.headers["Content-Disposition"].startswith("attachment")
    check_private(answer)
    api.change("song1", stage="failed", entry_status="fail")
    refused = ask(api)
    assert refused.status_code == 404 and header not in refused.headers


def test_a_cdn_may_send_the_file(make_api: Callable[..., Api]) -> None:
    api = add_song(make_api(media_base_url="https://media.example.com/songs/"))
    answer = ask(api)
    assert (answer.status_code, answer.location) == (302, "https://media.example.com/songs/video/song1.mp4")
    check_private(answer)
    assert ask(api, path="/storage/video/nobody.mp4").status_code == 404


def test_a_presigned_link_may_send_the_file(site: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site.parts.storage, "url", lambda key: f"https://bucket.example.com/{key}?signature=x")
    answer = ask(site)
    assert (answer.status_code, answer.location) == (302, "https://bucket.example.com/video/song1.mp4?signature=x")
    check_private(answer)


# ---- over real HTTP

@pytest.fixture
def server(start_gunicorn: Callable[..., Gunicorn], make_api: Callable[..., Api]) -> Iterator[Gunicorn]:
    gunicorn = start_gunicorn()
    add_song(make_api())
    yield gunicorn


@on_sqlite
def test_ranges_and_head_over_real_http(server: Gunicorn) -> None:
    address = server.address + VIDEO
    with requests.Session() as session:  # one connection: a length that is wrong would show in the next answer
        for _ in range(2):
            assert session.get(address, timeout=10).content == DATA
            assert session.head(address, timeout=10).headers["Content-Length"] == str(SIZE)
            part = session.get(address, headers={"Range": "bytes=-10"}, timeout=10)
            assert (part.status_code, part.content) == (206, DATA[-10:])
            assert session.get(address, headers={"Range": f"bytes={SIZE}-"}, timeout=10).status_code == 416
            tag = part.headers["ETag"]
            assert session.get(address, headers={"If-None-Match": tag}, timeout=10).status_code == 304
