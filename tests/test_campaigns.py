import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petsong.campaigns import loader
from petsong.campaigns.loader import FORMATS, TAGS, Campaign, CampaignError, load_campaign
from petsong.web.languages import texts_in

NAMES: dict[str, Any] = {"owner_name": "Zoë", "pet_name": "रानी", "pet_type": "Cat", "music_vibe": "Romantic"}


@pytest.fixture(scope="module")
def valentines() -> Campaign:
    return load_campaign("valentines")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped campaign's data under the name `spring`, to be broken."""
    made = tmp_path / "spring"
    shutil.copytree(loader.CAMPAIGNS / "valentines", made, ignore=shutil.ignore_patterns("art"))
    change(made, 'name = "valentines"', 'name = "spring"')
    return made


def change(folder: Path, old: str, new: str) -> None:
    file = folder / "campaign.toml"
    text = file.read_text("utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), "utf-8")


def problem_of(folder: Path, **options: bool) -> CampaignError:
    with pytest.raises(CampaignError) as caught:
        load_campaign(str(folder), **options)
    message = str(caught.value)
    assert message.startswith(f"{folder / 'campaign.toml'}: {caught.value.key}: ")
    assert ". Right would be: " in message and "\n" not in message
    return caught.value


# --- the shipped campaign ---


def test_valentines_offers_what_the_form_promises(valentines: Campaign) -> None:
    assert list(valentines.pet_types) == ["Dog", "Cat", "Bird", "Fish", "Other"]
    assert list(valentines.vibes) == ["Chill", "Energetic", "Romantic", "Party", "Relaxing", "Other"]
    assert valentines.copy["sold_out_title"] == "Sorry, we're all sold out!"
    assert valentines.copy["lead"] and valentines.terms.strip() and valentines.privacy.strip()
    assert valentines.extra_name_characters == "" and valentines.limits == {}
    assert valentines.opening.open and valentines.opening.cap is None


def test_every_vibe_has_tags_of_the_service_and_words(valentines: Campaign) -> None:
    for vibe in valentines.vibes.values():
        assert vibe.tags and set(vibe.tags) <= TAGS and vibe.words


def test_the_pages_know_every_text_of_a_campaign(valentines: Campaign) -> None:
    assert set(texts_in("en")["campaign"]) == loader.COPY
    assert set(texts_in("en")["failures"]) == loader.FAILURES == set(valentines.fail_messages)


def test_the_service_is_credited(valentines: Campaign) -> None:
    assert "Sonauto" in valentines.copy["credit"]


# --- the order ---


def test_the_prompt_is_the_promised_sentence_and_the_vibe_in_words(valentines: Campaign) -> None:
    order = valentines.song_order(**NAMES)
    assert order.prompt == (
        "Create a heartfelt Valentine's Day love song celebrating the special bond between Zoë and their beloved cat रानी. "
        "Make it warm, genuine, and mention both names in the lyrics. "
        "The mood is romantic and tender, a slow ballad led by a piano."
    )
    assert order.tags == ("romantic", "love song", "ballad", "piano")


def test_other_has_a_natural_word(valentines: Campaign) -> None:
    assert "their beloved companion रानी." in valentines.song_order(**NAMES | {"pet_type": "Other"}).prompt


def test_how_names_are_said_is_added_for_each_that_is_given(valentines: Campaign) -> None:
    both = valentines.song_order(**NAMES, owner_name_said="ZOH-ee", pet_name_said="RAH-nee").prompt
    assert both.endswith('The name Zoë is pronounced "ZOH-ee". The name रानी is pronounced "RAH-nee".')
    assert valentines.song_order(**NAMES, pet_name_said="RAH-nee").prompt.count("pronounced") == 1
    assert "pronounced" not in valentines.song_order(**NAMES, owner_name_said=" ").prompt


def test_the_prompt_alone_says_the_same_without_tags(valentines: Campaign) -> None:
    alone = valentines.song_order(**NAMES, prompt_alone=True)
    assert alone.tags == () and alone.prompt == valentines.song_order(**NAMES).prompt


@given(st.text(), st.text())
def test_names_are_data_whatever_is_in_them(owner: str, pet: str) -> None:
    order = load_campaign("valentines").song_order(
        owner_name="{pet_name}{0.__class__}%s\\1" + owner, pet_name="{owner_name}{" + pet, pet_type="Dog", music_vibe="Chill"
    )
    owner_shown, pet_shown = (
        " ".join(name.split()) for name in ("{pet_name}{0.__class__}%s\\1" + owner, "{owner_name}{" + pet)
    )
    assert f"between {owner_shown} and their beloved dog {pet_shown}. Make it" in order.prompt


def test_an_unknown_vibe_or_kind_is_an_error(valentines: Campaign) -> None:
    for wrong in ({"music_vibe": "Polka"}, {"pet_type": "Dragon"}):
        with pytest.raises(KeyError):
            valentines.song_order(**NAMES | wrong)


# --- the videos ---


def test_valentines_makes_all_formats_with_both_names(valentines: Campaign) -> None:
    assert valentines.video.formats == FORMATS
    lines = valentines.caption(owner_name="Zoë", pet_name=" {owner_name}\n%s ")
    assert lines == ("{owner_name} %s", "with love from Zoë")


def test_a_campaign_that_says_nothing_of_videos_makes_the_square_one(folder: Path) -> None:
    file = folder / "campaign.toml"
    kept = [line for line in file.read_text("utf-8").splitlines() if not line.startswith(("[video]", "formats =", "caption ="))]
    file.write_text("\n".join(kept), "utf-8")
    campaign = load_campaign(folder)
    assert (campaign.video.formats, campaign.caption(owner_name="Zoë", pet_name="Rani")) == (("square",), ())


# --- loading ---


def test_a_campaign_is_found_by_its_path_and_then_by_the_name_that_rows_keep(folder: Path) -> None:
    assert load_campaign(folder / "campaign.toml").name == "spring"
    assert load_campaign("spring").artwork.record == folder / "art/record.png"


def test_artwork_must_be_there_only_when_asked(folder: Path) -> None:
    load_campaign(folder)
    assert problem_of(folder, check_files=True).key == "artwork.background"
    (folder / "art").mkdir()
    for name in ("background.png", "record.png", "needle.png", "sleeve.svg", "label.svg", "icon.svg", "share.jpg"):
        (folder / "art" / name).write_bytes(b"picture")
    assert load_campaign(str(folder), check_files=True).artwork.needle.is_file()


def test_an_unknown_campaign_names_the_known_ones() -> None:
    for name in ("no-such", "", "..", "/no/such"):
        with pytest.raises(CampaignError, match="valentines"):
            load_campaign(name)


def test_what_is_no_toml_says_where(folder: Path) -> None:
    change(folder, 'locale = "en_US"', "locale = en_US")
    assert "line " in str(problem_of(folder))


WRONG = [
    ('locale = "en_US"', 'locale = "english"', "locale"),
    ('locale = "en_US"', "", "locale"),
    ('languages = ["en", "de"]', "languages = []", "languages"),
    ('languages = ["en", "de"]', 'languages = ["en", "xx"]', "languages"),
    ('name = "spring"', 'name = "summer"', "name"),
    ('name = "spring"', 'name = "../spring"', "name"),
    ('site_name = "Petsong"', 'site_name = "Petsong"\nsite_nam = "x"', "site_nam"),
    ('headline = "A love', 'head_line = "A love', "copy"),
    ("love song for {pet_name}!", "love song for {petname}!", "copy.share_text"),
    ("love song for {pet_name}!", "love song for {pet_name!", "copy.share_text"),
    ('extra_name_characters = ""', 'extra_name_characters = "<"', "extra_name_characters"),
    ('"chill", "lo-fi"', '"chill", "very lovely"', "vibes.Chill.tags.1"),
    ('tags = ["party", "dance", "disco", "funk"]', "tags = []", "vibes.Party.tags"),
    ("{owner_name} and their", "{owner_nam} and their", "prompt.template"),
    ("special bond between {owner_name} and", "special bond of", "prompt.template"),
    ("The mood is {vibe}.", "The mood is great.", "prompt.mood"),
    ('"art/record.png"', '"../record.png"', "artwork.record"),
    ('"art/record.png"', '"/etc/passwd"', "artwork.record"),
    ('"art/record.png"', "7", "artwork.record"),
    ('terms = "terms.md"', 'terms = "missing.md"', "terms"),
    ('contact = "hello@petsong.example"', "", "contact"),
    ('"hello@petsong.example"', '"hello"', "contact"),
    ('"hello@petsong.example"', '"http://petsong.example"', "contact"),
    ('"hello@petsong.example"', '"hello@petsong.example, you"', "contact"),
    ('"hello@petsong.example"', '"{owner_name}@petsong.example"', "contact"),
    ('accent = "#c4154b"', 'accent = "red; } body {"', "colours.accent"),
    ('accent = "#c4154b"', 'accent = "#ffd0d0"', "colours"),
    ('accent = "#c4154b"', 'acent = "#c4154b"', "colours"),
    ('["square", "hd", "story"]', '["hd", "square"]', "video.formats"),
    ('["square", "hd", "story"]', "[]", "video.formats"),
    ('["square", "hd", "story"]', '["square", "hd", "hd"]', "video.formats"),
    ('["square", "hd", "story"]', '["square", "wide"]', "video.formats"),
    ('["{pet_name}", "with', '["{pet}", "with', "video.caption"),
    ('["{pet_name}", "with', '["", "with', "video.caption"),
    ('["{pet_name}", "with', '["a", "b", "c", "with', "video.caption"),
    ("[limits]", "[limits]\nform_submit_retry = 5", "limits.form_submit_retry.[key]"),
    ("[limits]", "[limits]\nFORM_SUBMIT_RETRY = [5]", "limits.FORM_SUBMIT_RETRY"),
    ("open = true\n", "open = true\nopens_at = 2027-02-01T00:00:00\n", "opening.opens_at"),
    ("open = true\n", "open = true\ncap = -1\n", "opening.cap"),
    ("open = true\n", "opens_at = 2027-02-02T00:00:00Z\ncloses_at = 2027-02-01T00:00:00Z\n", "opening"),
    ("# [[banners]]", '[[banners]]\nlink = "javascript:alert(1)"\n#', "banners.0.link"),
    ("# [[banners]]", '[[banners]]\nimage = "//evil.example/x.png"\n#', "banners.0.image"),
]


@pytest.mark.parametrize(("old", "new", "key"), WRONG)
def test_each_mistake_names_its_key_and_a_right_example(folder: Path, old: str, new: str, key: str) -> None:
    change(folder, old, new)
    assert problem_of(folder).key.startswith(key)


@pytest.mark.parametrize("contact", ["Kim.Party+songs@mail.petsong.example", "https://petsong.example/contact?from=songs"])
def test_a_contact_is_an_address_of_mail_or_web(folder: Path, contact: str) -> None:
    change(folder, "hello@petsong.example", contact)
    assert load_campaign(folder).contact == contact


def test_a_contact_is_needed_only_where_a_text_names_it(folder: Path) -> None:
    change(folder, 'contact = "hello@petsong.example"', "")
    for text in ("privacy.md", "privacy.de.md"):
        (folder / text).write_text("# Your rights\n\nAsk us.", "utf-8")
    assert load_campaign(folder).contact == ""
    (folder / "terms.md").write_text("Write to {contact} first.", "utf-8")
    assert problem_of(folder).key == "contact"


def test_a_legal_text_has_no_other_fields(folder: Path) -> None:
    (folder / "privacy.md").write_text("Write to {contakt}.", "utf-8")
    problem = problem_of(folder)
    assert problem.key == "privacy" and "{contakt} is unknown" in str(problem)


def test_opening_times_limits_and_banners_are_read(folder: Path) -> None:
    change(folder, "open = true\n", "opens_at = 2027-02-01T08:00:00+01:00\ncloses_at = 2027-02-15T00:00:00Z\ncap = 5000\n")
    change(folder, "[limits]", "[limits]\nFORM_SUBMIT_RETRY = 5\nVINYL_RPM = 33.3")
    change(folder, "# [[banners]]", '[[banners]]\ntext = "Adopt"\nlink = "https://shelter.example/"\n#')
    campaign = load_campaign(folder)
    assert campaign.limits == {"FORM_SUBMIT_RETRY": 5, "VINYL_RPM": 33.3}
    assert campaign.banners[0].link == "https://shelter.example/" and campaign.opening.cap == 5000
    opening = campaign.opening
    moments = [datetime(2027, 2, 1, 6, 59, tzinfo=UTC), datetime(2027, 2, 1, 7, tzinfo=UTC), datetime(2027, 2, 15, tzinfo=UTC)]
    assert [opening.is_open(moment) for moment in moments] == [False, True, False]


def test_a_loaded_campaign_cannot_be_changed(valentines: Campaign) -> None:
    with pytest.raises(AttributeError):
        valentines.title = "other"  # type: ignore[misc]
    with pytest.raises(ValueError, match="frozen"):
        valentines.opening.open = False  # type: ignore[misc]
