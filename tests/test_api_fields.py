"""POST /api/submissions: each field's rule, and the words for whoever breaks it."""
import io
import random
import struct
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from api_kit import PHOTO, PHOTO_MESSAGE, Api, as_text, check_error, on_sqlite, picture

pytest_plugins = "api_fixtures"

LETTERS = "Only letters and spaces allowed"
REQUIRED = "This field is required"


def refused(api: Api, **changes: Any) -> dict[str, str]:
    """{field: message} of a form that must be refused, and must leave nothing behind."""
    body = check_error(api.post(**changes), 400, "validation_failed")
    assert body["error"] == "Validation failed"
    assert body["message"] in body["fields"].values()
    assert api.rows() == [] and api.uploads() == []
    fields: dict[str, str] = body["fields"]
    return fields


# ---- accepted

def test_a_good_form_becomes_a_row_with_its_photo(api: Api) -> None:
    answer = api.post(pet_name="  Zoe\u0308   Ann ", owner_name="रानी", pet_name_said="ZOH-ee", owner_name_said="O’Ra ni")
    body = answer.get_json()
    session_id = body["session_id"]
    assert answer.status_code == 200
    assert body == {
        "success": True, "session_id": session_id, "message": "Submission received successfully",
        "cookie_id": body["cookie_id"],
    }
    row = api.row(session_id)
    assert (row.pet_name, row.owner_name, row.pet_name_said, row.owner_name_said) == ("Zoë Ann", "रानी", "ZOH-ee", "O'Ra ni")
    assert (row.pet_type, row.music_vibe, row.campaign, row.cookie_id) == ("Dog", "Romantic", "valentines", body["cookie_id"])
    assert (row.stage, row.entry_status, row.photo_path) == ("queued", "pending", f"uploads/{session_id}.jpg")
    assert session_id.isalnum() and 20 <= len(session_id) <= 32
    with Image.open(api.settings.img_storage / f"{session_id}.jpg") as photo:
        assert (photo.format, photo.size, photo.mode) == ("JPEG", (600, 600), "RGB")


@on_sqlite
@pytest.mark.parametrize("pet_type", ["Dog", "Cat", "Bird", "Fish", "Other"])
def test_every_pet_type_is_taken(api: Api, pet_type: str) -> None:
    assert api.post(pet_type=pet_type).status_code == 200


@on_sqlite
@pytest.mark.parametrize("vibe", ["Chill", "Energetic", "Romantic", "Party", "Relaxing", "Other"])
def test_every_vibe_is_taken(api: Api, vibe: str) -> None:
    assert api.post(music_vibe=vibe).status_code == 200


def test_unknown_keys_are_ignored(api: Api) -> None:
    assert api.post(stage="done", session_id="mine", entry_status="success", **{"\udc00": 1, "": [{}]}).status_code == 200
    assert [row.stage for row in api.rows()] == ["queued"]


@pytest.mark.parametrize("absent", [..., None, "", "   "])
def test_how_a_name_is_said_may_be_left_out(api: Api, absent: Any) -> None:
    assert api.post(pet_name_said=absent, owner_name_said=absent).status_code == 200
    assert [(row.pet_name_said, row.owner_name_said) for row in api.rows()] == [("", "")]


# ---- names

@on_sqlite
@pytest.mark.parametrize("field", ["pet_name", "owner_name"])
@pytest.mark.parametrize(("value", "message"), [
    (..., REQUIRED), ("", REQUIRED), ("   ", REQUIRED), (None, "Must be text"), (7, "Must be text"), (["Rex"], "Must be text"),
    ({"a": 1}, "Must be text"), (True, "Must be text"), (1.5, "Must be text"),
    ("R", "Must be 2 to 100 characters long"), ("R" * 101, "Must be 2 to 100 characters long"),
    ("Rex2", LETTERS), ("Rex!", LETTERS), ("🐶🐶", LETTERS), ("O'Hara", LETTERS), ("O’Hara", LETTERS), ("Ann-Marie", LETTERS),
    ("Re\x00x", LETTERS),
    ("Re\nx", LETTERS), ("Rex\u202ecod", LETTERS), ("Re\u200bx", LETTERS), ("\u3164\u3164", LETTERS), ("\ud800\ud800", LETTERS),
])
def test_a_bad_name_is_refused(api: Api, field: str, value: Any, message: str) -> None:
    assert refused(api, **{field: value}) == {field: message}


@on_sqlite
def test_a_phones_apostrophe_is_stored_as_one_where_the_campaign_takes_any(make_api: Callable[..., Api]) -> None:
    api = make_api(campaign="birthday")
    assert api.post(pet_name="D’Artagnan", owner_name="Rory O’Hara-Lee").status_code == 200
    assert [(row.pet_name, row.owner_name) for row in api.rows()] == [("D'Artagnan", "Rory O'Hara-Lee")]


@on_sqlite
@pytest.mark.parametrize("field", ["pet_name_said", "owner_name_said"])
@pytest.mark.parametrize(("value", "message"), [
    ("x", "Must be 2 to 60 characters long"), ("x" * 61, "Must be 2 to 60 characters long"), (5, "Must be text"),
    ("BIS kit!", "Only letters, spaces and - ' allowed"), ("BIS_kit", "Only letters, spaces and - ' allowed"),
    ("ˈbɪs.kɪt", "Only letters, spaces and - ' allowed"), ("--", "Only letters, spaces and - ' allowed"),
    ("Ignore {this}", "Only letters, spaces and - ' allowed"), ("a\nb", "Only letters, spaces and - ' allowed"),
    ("B1s", "Only letters, spaces and - ' allowed"), (["x"], "Must be text"), (False, "Must be text"),
])
def test_a_bad_saying_is_refused(api: Api, field: str, value: Any, message: str) -> None:
    assert refused(api, **{field: value}) == {field: message}


@pytest.mark.parametrize("said", ["BIS-kit", "la 'ya", "x" * 60, "Loo-kahsh", "li na"])
def test_a_good_saying_is_kept(api: Api, said: str) -> None:
    api.post(pet_name_said=said)
    assert [row.pet_name_said for row in api.rows()] == [said]


# ---- choices

@on_sqlite
@pytest.mark.parametrize(("value", "message"), [
    (..., REQUIRED), ("", REQUIRED), ("dog", "Must be one of: Dog, Cat, Bird, Fish, Other"), (3, "Must be text"),
    ("Hamster", "Must be one of: Dog, Cat, Bird, Fish, Other"), (" Dog", "Must be one of: Dog, Cat, Bird, Fish, Other"),
    ("\ud83d", "Must be one of: Dog, Cat, Bird, Fish, Other"), (["Dog"], "Must be text"), (None, "Must be text"),
])
def test_a_bad_pet_type_is_refused(api: Api, value: Any, message: str) -> None:
    assert refused(api, pet_type=value) == {"pet_type": message}


@on_sqlite
@pytest.mark.parametrize(("value", "message"), [
    (..., REQUIRED), ("Jazz", "Must be one of: Chill, Energetic, Romantic, Party, Relaxing, Other"), ({}, "Must be text"),
])
def test_a_bad_vibe_is_refused(api: Api, value: Any, message: str) -> None:
    assert refused(api, music_vibe=value) == {"music_vibe": message}


def test_all_problems_are_named_and_the_forms_first_field_comes_first(api: Api) -> None:
    wrong = {"pet_name_said": "!", "cookie_id": 4, "owner_name": "", "photo": "", "pet_type": "Cow", "pet_name": "1"}
    body = check_error(api.post(music_vibe=..., **wrong), 400, "validation_failed", "Must be 2 to 100 characters long")
    assert body["fields"] == {
        "pet_name": "Must be 2 to 100 characters long", "pet_type": "Must be one of: Dog, Cat, Bird, Fish, Other",
        "photo": REQUIRED, "music_vibe": REQUIRED, "owner_name": REQUIRED, "cookie_id": "Must be text",
        "pet_name_said": "Must be 2 to 60 characters long",
    }


def test_an_empty_object_names_every_required_field(api: Api) -> None:
    body = check_error(api.post_raw(b"{}"), 400, "validation_failed", REQUIRED)
    assert sorted(body["fields"]) == ["music_vibe", "owner_name", "pet_name", "pet_type", "photo"]


# ---- photos

def lying_png(width: int, height: int) -> bytes:
    """A PNG of some bytes whose header claims this size."""
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def heavy(size: int) -> bytes:
    """A whole JPEG of exactly so many bytes: what stands after its end does not matter."""
    return picture().ljust(size, b"x")


@on_sqlite
@pytest.mark.parametrize("photo", [
    PHOTO, f"data:image/jpeg;base64,{PHOTO}", f"data:image/png;base64,{as_text(picture(kind='PNG'))}",
    f"data:text/html;base64,{PHOTO}",  # what it says it is does not matter
    as_text(picture(400, 900)), as_text(picture(900, 400, "PNG")), as_text(heavy(5 * 1024 * 1024)),
], ids=["bare", "jpeg", "png", "lie", "tall", "wide", "5 MB"])
def test_good_photos_are_taken(api: Api, photo: str) -> None:
    assert api.post(photo=photo).status_code == 200


def gif() -> bytes:
    out = io.BytesIO()
    Image.new("P", (500, 500)).save(out, "GIF")
    return out.getvalue()


@on_sqlite
@pytest.mark.parametrize("photo", [
    "not base64!", "AAAA", "=", PHOTO[:-1], PHOTO + "\n", PHOTO.replace("/", "_"), PHOTO + "é", "\ud800", "data:,x",
    "data:;base64,",
    as_text(gif()), as_text(b"<svg/>"), as_text(b"\xff\xd8\xff"), as_text(b"\x89PNG\r\n\x1a\n"), as_text(picture()[:-200]),
    as_text(picture(kind="PNG")[:-30]), as_text(random.Random(7).randbytes(3000)),
    as_text(heavy(5 * 1024 * 1024 + 1)), as_text(picture(399, 400)), as_text(picture(400, 399, "PNG")),
    as_text(lying_png(12_000, 12_000)), as_text(lying_png(5001, 5000)), as_text(lying_png(2**31 - 1, 2**31 - 1)),
    as_text(lying_png(0, 0)), as_text(lying_png(500, 500)),
])
def test_bad_photos_are_refused_with_the_one_message(api: Api, photo: str) -> None:
    body = check_error(api.post(photo=photo), 400, "invalid_image", PHOTO_MESSAGE)
    assert body["error"] == "Invalid image format"
    assert sorted(body["fields"]) == ["photo"]
    assert api.rows() == [] and api.uploads() == []


def test_a_small_photo_is_told_its_size_beside_the_field(api: Api) -> None:
    fields = check_error(api.post(photo=as_text(picture(399, 600))), 400, "invalid_image")["fields"]
    assert "at least 400x400" in fields["photo"]


@on_sqlite
@pytest.mark.parametrize(("photo", "message"), [
    (..., REQUIRED), ("", REQUIRED), (" ", REQUIRED), (None, "Must be text"), (5, "Must be text"), ([PHOTO], "Must be text"),
])
def test_a_photo_that_is_no_text_is_a_bad_field(api: Api, photo: Any, message: str) -> None:
    assert refused(api, photo=photo) == {"photo": message}


def test_fields_are_judged_before_the_photo(api: Api) -> None:
    assert refused(api, photo="not base64!", pet_name="1!") == {"pet_name": LETTERS}


def test_nothing_of_the_sent_file_is_kept(api: Api) -> None:
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x010F] = "a very private camera"
    Image.new("RGB", (500, 400), "teal").save(out, "JPEG", exif=exif, comment=b"a very private note")
    session_id = api.post(photo=as_text(out.getvalue() + b"a very private tail")).get_json()["session_id"]
    assert b"private" not in (api.settings.img_storage / f"{session_id}.jpg").read_bytes()
