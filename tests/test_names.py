"""Which names pass, and what the visitor is told about those that do not."""
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petsong.names import clean_name

LETTERS = "Only letters and spaces allowed"


@pytest.mark.parametrize("name", [
    "Zoë", "Łukasz", "रानी", "Ñandú", "Ægir", "O Malley", "José María", "Đorđe", "Жучка", "Ξένια", "ნინო", "Անի", "שרה", "محمد",
    "فاطمة", "สมชาย", "ကျော်", "မေ", "ဇော်", "ត្រី", "ལྷ་མོ".replace("་", ""), "ਗੁਰਪ੍ਰੀਤ", "மீனா", "పూజ", "ಗೌರಿ", "മായ", "ගීතා",
    "山田太郎", "さくら", "ポチ", "김철수", "ᏣᎳᎩ", "አበበ", "ⵜⵉⵔⵉ", "Kaʻiulani", "ʻOhana", "𞤀𞤣𞤤𞤢𞤥",
])
def test_letters_of_any_alphabet_pass(name: str) -> None:
    assert clean_name(name) == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize("name", [
    "Rex2", "Rex٣", "रानी२", "Rex²", "RexⅧ", "Rex½",  # digits and numbers of all kinds
    "🐶🐶", "Rex🐶", "Rex❤️", "👩‍👩‍👧", "Rex☺", "🇫🇷🇫🇷",
    "Rex!", "Rex.", "O'Malley", "O’Malley", "Ann-Marie", "Rex_", "<b>Rex", "Rex&Co", "a/b", "a\\b", "{name}", "%s %s", "Rex\"",
    "Rex\u202ecod", "\u202dRex", "\u2066Rex\u2069", "Rex\u200f", "\u200eRex", "Rex\u061c",  # bidi
    "Re\u200bx", "Re\u200dx", "Re\u200cx", "\ufeffRex", "Re\u2060x", "Re\u00adx", "Re\u180ex",  # zero-width
    "\u3164\u3164", "\u115f\u1160", "\uffa0\uffa0", "Rex\u3164", "\u2800\u2800",  # fillers: letters that show nothing
    "Re\x00x", "Re\tx", "Re\nx", "Re\r\nx", "Re\x1bx", "Re\x7fx", "Re\x85x", "Re\u2028x", "Re\u2029x",  # control
    "Re\ue000x", "Re\ufffdx", "Re\ufffex", "Re\U000e0041x", "Re\ud800x", "\udcff\udcff",  # private, tags, half characters
    "\u0301\u0301", " \u0301a", "a \u0301",  # marks without their letter
    "Rex $", "Rex + Co", "Rex©", "ʹ΄΄",
])
def test_everything_else_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{LETTERS}$"):
        clean_name(name)


@pytest.mark.parametrize(("typed", "kept"), [
    ("  Rex  ", "Rex"), ("Ana    Maria", "Ana Maria"), ("Zoe\u0308", "Zoë"), ("\u00a0Rex\u00a0\u00a0Rey\u00a0", "Rex Rey"),
    ("山田\u3000花子", "山田 花子"), ("\u2003Rex\u2009Rey", "Rex Rey"), ("\u212bke", "Åke"), ("가나".encode().decode(), "가나"),
    ("\u1100\u1161\u1102\u1161", "가나"), (" a b ", "a b"),
])
def test_names_are_composed_trimmed_and_their_spaces_collapsed(typed: str, kept: str) -> None:
    assert clean_name(typed) == kept


@pytest.mark.parametrize(("name", "passes"), [
    ("a", False), ("ab", True), (" a ", False), ("", False), ("   ", False), ("x" * 100, True), ("x" * 101, False),
    ("  " + "x" * 100 + "  ", True), ("e\u0301" * 100, True), ("\u1112\u1161\u11ab" * 100, True),
    ("e\u0302\u0303" * 100, True), ("e\u0301" * 101, False), ("e\u0301", False),
    ("\u0958", True), ("\u0958" * 51, False),  # NFC takes this letter apart, and it is counted as it is stored
    ("李", False), ("李娜", True),
])
def test_length_is_counted_after_cleaning(name: str, passes: bool) -> None:
    if passes:
        assert 2 <= len(clean_name(name)) <= 100
    else:
        with pytest.raises(ValueError, match="^Must be 2 to 100 characters long$"):
            clean_name(name)


@pytest.mark.timeout(60)  # putting marks in order takes time that grows with the square of their number
def test_megabytes_of_marks_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match="^Must be 2 to 100 characters long$"):
        clean_name("a" + "\u0301\u0316" * 1_700_000)


def test_a_campaign_may_add_characters() -> None:
    assert clean_name("Anne-Marie O'Hara", extra="'-") == "Anne-Marie O'Hara"
    with pytest.raises(ValueError, match="^Only letters, spaces and ' - allowed$"):
        clean_name("Anne_Marie", extra="'-")


def test_a_phones_apostrophe_is_one_where_the_campaign_takes_any() -> None:
    assert clean_name("Rory O’Hara", extra="'-") == "Rory O'Hara"
    for extra, message in (("", f"^{LETTERS}$"), ("-", "^Only letters, spaces and - allowed$")):
        with pytest.raises(ValueError, match=message):
            clean_name("Rory O’Hara", extra=extra)


@pytest.mark.parametrize("name", ["--", "''", "’’", "- -", "'Ana", "’Ana", "-Ana"])
def test_added_characters_alone_make_no_name(name: str) -> None:
    with pytest.raises(ValueError, match="^Only letters, spaces"):
        clean_name(name, extra="'-")


@given(st.text(max_size=120))
def test_a_name_that_passes_is_clean_and_stays_the_same(text: str) -> None:
    try:
        name = clean_name(text)
    except ValueError as error:
        assert str(error) in (LETTERS, "Must be 2 to 100 characters long")
        return
    assert clean_name(name) == name == unicodedata.normalize("NFC", name).strip()
    assert 2 <= len(name) <= 100 and "  " not in name
    assert {unicodedata.category(character)[0] for character in name} <= {"L", "M", "Z"}
    name.encode()
