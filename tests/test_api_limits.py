"""How many songs a visitor, an address and a campaign may have."""
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from api_kit import Api, Gunicorn, check_error, form, on_sqlite, post_all
from kit import age
from petsong import database, switch
from petsong.campaigns.loader import CAMPAIGNS
from petsong.models import CreditReading, Submission

pytest_plugins = "api_fixtures"

SOLD_OUT = "Sorry, we're all sold out!"
LIMIT_MESSAGE = "You have reached the maximum number of submissions. Please check back later."


# ---- cookies

@on_sqlite
@pytest.mark.parametrize("given", [..., None, "", "cookie_", "cookie_a", "cookie_" + "a" * 33, "cookie_ABC", "cookie_a-b",
    "other_abc",
                                   "cookie_abc ", "cookie_äb", "cookie_a\n", "\ud800", "cookie_abc\x00", "x" * 1000,
                                   "cookie_abc\n"])
def test_a_visitor_without_a_cookie_gets_a_new_one(api: Api, given: Any) -> None:
    body = api.post(cookie_id=given).get_json()
    assert body["cookie_id"] != given
    assert body["cookie_id"].startswith("cookie_") and body["cookie_id"].isascii() and len(body["cookie_id"]) >= 23
    assert [row.cookie_id for row in api.rows()] == [body["cookie_id"]]
    assert "cookie_id" not in api.post(cookie_id=body["cookie_id"]).get_json()


def test_new_cookies_are_different(api: Api) -> None:
    assert len({api.post().get_json()["cookie_id"] for _ in range(5)}) == 5


@pytest.mark.parametrize("given", ["cookie_ab", "cookie_" + "a" * 32, "cookie_0123456789", "cookie_z9"])
def test_a_cookie_is_kept_as_given(api: Api, given: str) -> None:
    assert "cookie_id" not in api.post(cookie_id=given).get_json()
    assert [row.cookie_id for row in api.rows()] == [given]


@pytest.mark.parametrize("given", [5, 0, True, False, [], ["cookie_abc"], {}, 1.5])
def test_a_cookie_that_is_no_text_is_400(api: Api, given: Any) -> None:
    assert check_error(api.post(cookie_id=given), 400, "validation_failed")["fields"] == {"cookie_id": "Must be text"}


def test_a_visitor_has_ten_songs(api: Api) -> None:
    for _ in range(10):
        assert api.post(cookie_id="cookie_abc").status_code == 200
    for _ in range(2):
        body = check_error(api.post(cookie_id="cookie_abc"), 429, "rate_limit_exceeded", LIMIT_MESSAGE)
        assert (body["error"], body["attempts_used"], body["max_attempts"]) == ("rate_limit_exceeded", 10, 10)
    assert api.post(cookie_id="cookie_abd").status_code == 200
    assert len(api.rows()) == len(api.uploads()) == 11


def test_fields_and_photo_are_judged_before_the_cookie_limit(make_api: Callable[..., Api]) -> None:
    api = make_api(form_submit_retry=1)
    api.post(cookie_id="cookie_abc")
    check_error(api.post(cookie_id="cookie_abc", pet_name="1"), 400, "validation_failed")
    check_error(api.post(cookie_id="cookie_abc", photo="AAAA"), 400, "invalid_image")


def test_fifty_posts_of_one_cookie_at_once_leave_ten_rows(start_gunicorn: Callable[..., Gunicorn]) -> None:
    server = start_gunicorn(workers=2)
    answers = post_all(server.address, [form(cookie_id="cookie_abc")] * 50)
    assert sorted(answer.status_code for answer in answers) == [200] * 10 + [429] * 40
    for answer in answers:
        if answer.status_code == 429:
            assert check_error(answer, 429, "rate_limit_exceeded")["attempts_used"] == 10
    with database.connection():
        assert Submission.select().where(Submission.cookie_id == "cookie_abc").count() == 10


# ---- addresses

def test_an_address_has_twenty_accepted_posts_an_hour(make_api: Callable[..., Api]) -> None:
    api = make_api(submissions_per_hour_per_ip=20)
    for number in range(20):
        assert api.post(cookie_id=f"cookie_v{number}").status_code == 200
    answer = api.post(cookie_id="cookie_more")
    check_error(answer, 429, "too_many_requests")
    assert 3500 < int(answer.headers["Retry-After"]) <= 3601
    assert "60 minutes" in answer.get_json()["message"]
    assert api.post(cookie_id="cookie_more", address="198.51.100.8").status_code == 200
    assert len(api.rows()) == len(api.uploads()) == 21


def test_refused_posts_are_counted_apart_and_tenfold(make_api: Callable[..., Api]) -> None:
    api = make_api(submissions_per_hour_per_ip=2)
    for number in range(20):
        wrong = [{"pet_name": "1"}, {"photo": "AAAA"}][number % 2]
        assert api.post(**wrong).status_code == 400
    answer = api.post(pet_name="1")
    check_error(answer, 429, "too_many_requests")
    assert 3500 < int(answer.headers["Retry-After"]) <= 3601
    check_error(api.post(), 429, "too_many_requests")
    assert api.post(address="198.51.100.8").status_code == 200


def test_refused_posts_do_not_use_up_the_accepted_ones(make_api: Callable[..., Api]) -> None:
    api = make_api(submissions_per_hour_per_ip=2, form_submit_retry=1)
    assert api.post(cookie_id="cookie_abc").status_code == 200
    for _ in range(5):
        check_error(api.post(pet_name="1"), 400, "validation_failed")
        check_error(api.post(cookie_id="cookie_abc"), 429, "rate_limit_exceeded")
    assert api.post().status_code == 200
    check_error(api.post(), 429, "too_many_requests")


def test_the_address_limit_comes_before_the_fields(make_api: Callable[..., Api]) -> None:
    api = make_api(submissions_per_hour_per_ip=1)
    api.post()
    check_error(api.post(pet_name="1"), 429, "too_many_requests")


def test_thirty_posts_of_one_address_at_once_leave_twenty_rows(start_gunicorn: Callable[..., Gunicorn]) -> None:
    server = start_gunicorn(workers=2, submissions_per_hour_per_ip=20)
    answers = post_all(server.address, [form() for _ in range(30)])
    assert sorted(answer.status_code for answer in answers) == [200] * 20 + [429] * 10
    with database.connection():
        assert Submission.select().count() == 20


def test_a_household_of_ipv6_is_one_visitor(make_api: Callable[..., Api]) -> None:
    api = make_api(submissions_per_hour_per_ip=1)
    assert api.post(address="2001:db8:1:2::1").status_code == 200
    check_error(api.post(address="2001:db8:1:2:ffff::9"), 429, "too_many_requests")
    assert api.post(address="2001:db8:1:3::1").status_code == 200


def test_ipv4_over_an_ipv6_socket_is_still_one_address_each(make_api: Callable[..., Api]) -> None:
    api = make_api(submissions_per_hour_per_ip=1)
    assert api.post(address="::ffff:198.51.100.7").status_code == 200
    assert api.post(address="::ffff:198.51.100.8").status_code == 200
    check_error(api.post(address="198.51.100.7"), 429, "too_many_requests")


@on_sqlite
@pytest.mark.parametrize("address", ["", "unix:", "fe80::1%eth0", "not an address"])
def test_an_odd_address_is_an_address(make_api: Callable[..., Api], address: str) -> None:
    api = make_api(submissions_per_hour_per_ip=1)
    assert api.post(address=address).status_code == 200
    check_error(api.post(address=address), 429, "too_many_requests")


def forwarded(api: Api, chain: str) -> int:
    headers = {"X-Forwarded-For": chain, "X-Forwarded-Host": "evil.example"}
    return api.client.post("/api/submissions", json=form(), headers=headers).status_code


def test_untrusted_forwarding_headers_do_not_make_a_visitor(make_api: Callable[..., Api]) -> None:
    api = make_api(submissions_per_hour_per_ip=1)
    assert [forwarded(api, chain) for chain in ("203.0.113.1", "203.0.113.2")] == [200, 429]


def test_of_trusted_proxies_the_last_hops_count(make_api: Callable[..., Api]) -> None:
    api = make_api(submissions_per_hour_per_ip=1, trusted_proxies=1)
    assert forwarded(api, "203.0.113.1, 198.51.100.1") == 200
    assert forwarded(api, "203.0.113.2, 198.51.100.1") == 429  # what stands before it the visitor may have written
    assert forwarded(api, "203.0.113.1, 198.51.100.2") == 200


def test_results_are_read_a_hundred_times_an_hour(api: Api) -> None:
    api.song("song1")
    for _ in range(100):
        assert api.get("/api/results/song1").status_code == 200
    answer = api.get("/api/results/song1")
    check_error(answer, 429, "too_many_requests")
    assert 3500 < int(answer.headers["Retry-After"]) <= 3601
    assert api.get("/api/results/song1", address="198.51.100.8").status_code == 200
    assert api.get("/api/submissions/song1/status").status_code == 200


# ---- sold out

def queue(api: Api, count: int, **changes: Any) -> None:
    for number in range(count):
        api.song(f"waits{number}", stage="queued", entry_status="pending", **changes)


@pytest.mark.parametrize(("credits", "queued", "open"), [
    (100, 0, True), (99, 0, False), (0, 0, False), (200, 1, True), (199, 1, False), (100, 1, False), (1000, 9, True),
    (1000, 10, False),
])
def test_credits_must_pay_for_the_queue_and_one_more(api: Api, credits: int, queued: int, open: bool) -> None:
    queue(api, queued)
    api.credits(credits)
    if open:
        assert api.post().status_code == 200
    else:
        answer = api.post()
        check_error(answer, 503, "sold_out", SOLD_OUT)
        assert int(answer.headers["Retry-After"]) > 0
    assert api.get("/api/availability").get_json()["open"] is (open and credits - 100 * (queued + 1) >= 100)


def test_songs_at_the_service_are_not_charged_yet(api: Api) -> None:
    api.song("making", stage="generating", entry_status="processing")
    api.attempt("making")
    api.credits(199)
    check_error(api.post(), 503, "sold_out")


def test_unknown_and_old_credits_are_not_zero(api: Api) -> None:
    api.credits(None)
    assert api.post().status_code == 200
    with database.connection():
        moment = database.now() - timedelta(seconds=901)
        CreditReading.insert(at=moment, usable=0).execute()
    assert api.post().status_code == 200


def test_the_price_is_a_setting(make_api: Callable[..., Api]) -> None:
    api = make_api(song_price_credits=500)
    api.credits(499)
    check_error(api.post(), 503, "sold_out")


def test_a_bad_form_is_not_read_when_all_is_sold_out(api: Api) -> None:
    api.credits(0)
    check_error(api.post(pet_name="1"), 503, "sold_out")
    check_error(api.post_raw(b"{"), 400, "validation_failed")


@pytest.fixture
def campaign(tmp_path: Path) -> Callable[..., str]:
    """campaign(opening): a copy of the first campaign with this [opening]; the path of its folder."""
    def make(opening: str) -> str:
        folder = tmp_path / f"fair{time.monotonic_ns()}"
        shutil.copytree(CAMPAIGNS / "valentines", folder)
        text = (folder / "campaign.toml").read_text().replace('name = "valentines"', f'name = "{folder.name}"')
        before, _, after = text.partition("[opening]")
        rest = after[after.index("# [[banners]]"):]
        (folder / "campaign.toml").write_text(f"{before}[opening]\n{opening}\n{rest}")
        return str(folder)

    return make


def iso(delta: timedelta) -> str:
    return (datetime.now(UTC) + delta).isoformat()


@on_sqlite
@pytest.mark.parametrize(("opening", "message"), [
    ('open = false\nmessage = "Over for this year."', "Over for this year."), ("open = false", "This campaign is closed."),
    (f"closes_at = {iso(timedelta(hours=-1))}\nmessage = 'Too late.'", "Too late."), ("cap = 0", SOLD_OUT),
], ids=["closed with words", "closed", "late", "capped"])
def test_a_closed_campaign_is_sold_out(
    make_api: Callable[..., Api], campaign: Callable[..., str], opening: str, message: str
) -> None:
    api = make_api(campaign=campaign(opening))
    assert check_error(api.post(), 503, "sold_out", message)["opens_at"] is None
    answer = api.get("/api/availability").get_json()
    assert answer == {"open": False, "reason": "sold_out", "message": message, "opens_at": None, "estimated_seconds": None}


@on_sqlite
@pytest.mark.parametrize("words", ["", 'message = "Over for this year."'], ids=["without words", "with those of the end"])
def test_before_the_opening_of_the_file_visitors_read_when_it_is(
    make_api: Callable[..., Api], campaign: Callable[..., str], words: str
) -> None:
    api = make_api(campaign=campaign(f"opens_at = 2127-02-01T19:00:00+01:00\n{words}"))
    message, opens_at = "Songs can be ordered from 1 February 2127, 18:00 (UTC).", "2127-02-01T18:00:00Z"
    assert check_error(api.post(), 503, "sold_out", message)["opens_at"] == opens_at
    answer = api.get("/api/availability").get_json()
    assert answer == {"open": False, "reason": "sold_out", "message": message, "opens_at": opens_at, "estimated_seconds": None}
    with api.app.app_context(), database.connection():
        switch.close(api.parts.campaign, "Back at noon.", who="boss")
    assert check_error(api.post(), 503, "sold_out", "Back at noon.")["opens_at"] is None


@on_sqlite
def test_a_file_that_is_shut_announces_no_opening(make_api: Callable[..., Api], campaign: Callable[..., str]) -> None:
    api = make_api(campaign=campaign('open = false\nopens_at = 2127-02-01T18:00:00Z\nmessage = "Not this year."'))
    assert check_error(api.post(), 503, "sold_out", "Not this year.")["opens_at"] is None


@on_sqlite
@pytest.mark.parametrize("opening", [
    f"opens_at = {iso(timedelta(hours=-1))}\ncloses_at = {iso(timedelta(hours=1))}", "open = true", "", "cap = 1",
], ids=["in time", "open", "nothing said", "capped"])
def test_an_open_campaign_takes_songs(make_api: Callable[..., Api], campaign: Callable[..., str], opening: str) -> None:
    assert make_api(campaign=campaign(opening)).post().status_code == 200


def test_a_cap_counts_the_campaigns_songs_that_did_not_fail(make_api: Callable[..., Api], campaign: Callable[..., str]) -> None:
    api = make_api(campaign=campaign("cap = 2"))
    name = Path(api.settings.campaign).name
    api.song("other", campaign="valentines")
    api.song("failed", campaign=name, stage="failed", entry_status="fail")
    assert [api.post().status_code for _ in range(3)] == [200, 200, 503]


def test_a_long_queue_is_busy(make_api: Callable[..., Api]) -> None:
    api = make_api(max_wait_minutes=5, max_concurrent_requests=1)
    queue(api, 2)
    assert api.post().status_code == 200
    queue_more = [api.song(f"more{number}", stage="queued", entry_status="pending") for number in range(3)]
    answer = api.post()
    check_error(answer, 503, "busy")
    assert int(answer.headers["Retry-After"]) > 0 and len(queue_more) == 3
    answer = api.get("/api/availability")
    assert (answer.get_json()["open"], answer.get_json()["reason"]) == (False, "busy")


def test_an_hour_later_the_address_may_post_again(make_api: Callable[..., Api], monkeypatch: pytest.MonkeyPatch) -> None:
    api = make_api(submissions_per_hour_per_ip=1)
    assert api.post().status_code == 200
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3590)
    check_error(api.post(), 429, "too_many_requests")
    monkeypatch.setattr(time, "time", lambda: real() + 3601)
    assert api.post().status_code == 200


def test_a_visitors_limit_is_for_good(api: Api) -> None:
    for _ in range(10):
        api.post(cookie_id="cookie_abc")
    with database.connection():
        age(29 * 24 * 3600)
    check_error(api.post(cookie_id="cookie_abc"), 429, "rate_limit_exceeded")
