import unicodedata

import pytest
from PIL import Image, ImageChops, ImageFont

from render import fonts, lettering
from render.fonts import NO_CHARACTER, faces
from render.lettering import caption_mask, draw_caption, fitted, pieces

SIZE = (820, 350)
NAMES = {
    "Latin": "Łukasz Zoë Nguyễn Đặng", "Cyrillic": "Жучка Ґалаґан", "Greek": "Ελένη Ώρα", "Devanagari": "रानी क्षत्रिय",
    "Thai": "ขนมปังปิ้ง น้ำผึ้ง", "Chinese": "猫咪小白", "Chinese, traditional": "龍貓寶貝", "Japanese": "さくらチャン桜",
    "Korean": "멍멍이 백구", "Arabic": "محمد قطة", "Hebrew": "שלום כלב", "Bengali": "মিষ্টি", "Tamil": "மணி", "Telugu": "వెంకట",
    "Khmer": "សុខ", "Lao": "ສຸກ", "Burmese": "မောင်",
}


def boxes_of(face):
    """What a font draws for a character that it does not have."""
    return bytes(face.font(48).getmask(NO_CHARACTER))


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_name_of_any_alphabet_is_drawn_with_its_own_letters(name):
    found = pieces(name)
    assert "".join(piece.text for piece in found) == unicodedata.normalize("NFC", name)
    for piece in found:
        for letter in piece.text.replace(" ", ""):
            assert bytes(piece.face.font(48).getmask(letter)) != boxes_of(piece.face), letter
    ink = caption_mask((name, name), SIZE)
    left, top, right, bottom = ink.getbbox()
    assert left > 0 and top > 0 and right < SIZE[0] and bottom < SIZE[1]
    assert abs(left - (SIZE[0] - right)) < 30  # in the middle


def test_every_alphabet_has_a_font_from_a_package():
    here = [face for face in faces() if fonts.SYSTEM_FOLDER not in face.path.parents]
    for name in NAMES.values():
        assert all(any(face.has(letter) for face in here) for letter in name), name


@pytest.mark.parametrize("name", ["क्षत्रिय", "محمد", "ปิ้ง"])
def test_letters_are_joined_as_their_alphabet_wants_it(name):
    face = pieces(name)[0].face
    apart = ImageFont.truetype(face.path, 60, layout_engine=ImageFont.Layout.BASIC)
    shaped = ImageFont.truetype(face.path, 60)
    assert bytes(apart.getmask(name)) != bytes(shaped.getmask(name))


def test_a_pillow_that_cannot_shape_draws_letters_one_by_one(monkeypatch):
    monkeypatch.setattr(ImageFont.core, "HAVE_RAQM", False)
    fonts._opened.cache_clear()
    try:
        for name in NAMES.values():
            assert caption_mask((name,), SIZE).getbbox()
    finally:
        fonts._opened.cache_clear()


def test_chinese_characters_have_the_shapes_of_the_language_around_them():
    shapes = {pieces(text)[0].face.index for text in ("骨", "骨の", "骨한")}
    assert len(shapes) == 3
    pictures = [caption_mask((text,), SIZE) for text in ("直骨", "直骨の")]
    assert ImageChops.difference(*pictures).getbbox()


@pytest.mark.parametrize("line", [
    "W" * 100, "猫" * 100, "ग" * 100, "Anna Maria Theresia von und zu Hohenstein " * 2, "M" * 49 + " " + "i" * 50, "ṩ̇̄" * 33,
    "م" * 100, "i\u0301" * 200, "W" * 400,
])
def test_long_names_shrink_and_wrap_and_never_leave_the_box(line):
    rows = fitted((line, f"with love from {line}"), SIZE)
    assert sum(row.high for row in rows) <= SIZE[1]
    assert all(row.width <= SIZE[0] for row in rows)
    picture = Image.new("RGB", (1000, 600), "black")
    draw_caption(picture, (line, f"with love from {line}"), (90, 100, 910, 450))
    bright = picture.convert("L").point([255 if value > 90 else 0 for value in range(256)])
    left, top, right, bottom = bright.getbbox()
    assert left >= 90 and top >= 100 and right <= 910 and bottom <= 450


def test_all_letters_of_a_long_name_are_there_and_can_be_read():
    rows = fitted(("Anna Maria Theresia von und zu Hohenstein", "with love from " + "Robin " * 14), SIZE)
    assert "".join(run.text for row in rows for run in row.runs).count("Robin") == 14
    assert min(row.size for row in rows) >= 24


def test_a_short_name_is_large_and_stays_on_one_line():
    name, love = fitted(("Biscuit", "with love from Robin"), SIZE)
    assert (name.size, love.size) == (lettering.LARGE, lettering.SMALL)
    assert len(fitted(("Konstantin Albrecht", "x"), SIZE)) == 2


def test_a_word_is_broken_only_when_it_would_be_too_small():
    assert len(fitted(("Donaudampfschifffahrts",), SIZE)) == 1
    assert [row.runs[0].text for row in fitted(("Donaudampfschifffahrt Gesellschaften",), SIZE)] == [
        "Donaudampfschifffahrt", "Gesellschaften"]
    assert len(fitted(("x" * 90,), SIZE)) == 3


@pytest.mark.parametrize("line", [
    "", " ", "\u0301", "\u200d\u200c", "\U0001f436", "\ue000\ue001", "\ud800", "\x00\x07\n\t", "\u202e\u2066", NO_CHARACTER,
])
def test_what_nobody_can_draw_is_left_out(line):
    assert pieces(line) == []
    assert caption_mask((line,), SIZE).getbbox() is None
    beside = "".join(piece.text for piece in pieces(f"A{line}B"))
    assert beside.translate(dict.fromkeys(map(ord, lettering.JOINERS))) in ("AB", "A B", "ÁB")


def test_marks_without_end_are_cut_down():
    piled = pieces("Z" + "\u0301\u0302\u0303\u0304" * 25)
    assert len(piled) == 1 and len(piled[0].text) <= 1 + lettering.MARKS


def test_one_form_of_a_letter_is_as_good_as_the_other():
    assert pieces("Zoe\u0308") == pieces("Zoë")


def test_right_to_left_text_stands_in_its_order():
    row = fitted(("abc שלום", ), SIZE)[0]
    assert [run.backwards for run in row.runs] == [False, True]
    row = fitted(("שלום abc",), SIZE)[0]
    assert [run.text.strip() for run in row.runs] == ["abc", "שלום"]


def test_without_packages_and_shaping_the_system_fonts_are_used(monkeypatch):
    monkeypatch.setattr(fonts.importlib.util, "find_spec", lambda name: None)
    faces.cache_clear()
    try:
        assert all(fonts.SYSTEM_FOLDER in face.path.parents for face in faces())
        caption_mask(("Łukasz 猫 रानी", "with love"), SIZE)
        monkeypatch.setattr(fonts, "SYSTEM_FOLDER", fonts.SYSTEM_FOLDER / "none")
        faces.cache_clear()
        assert caption_mask(("Łukasz",), SIZE).getbbox() is None
    finally:
        faces.cache_clear()


def test_a_damaged_font_of_the_system_is_passed_over(monkeypatch, tmp_path):
    broken = tmp_path / "truetype" / "noto" / "NotoSansBroken-Bold.ttf"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"not a font")
    monkeypatch.setattr(fonts, "SYSTEM_FOLDER", tmp_path)
    for language in fonts.CJK_FACES:
        faces(language)
    faces.cache_clear()
    try:
        assert faces()[-1].path == broken
        assert pieces("A\U0001f436B")
    finally:
        faces.cache_clear()
