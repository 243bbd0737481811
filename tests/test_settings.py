"""Settings: every wrong or missing value stops the start with one line that names it and shows a right one."""
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kit import repository
from petsong.campaigns.loader import CAMPAIGNS
from petsong.settings import QUEUE_NAMES, Settings, SettingsError, describe, load_settings

KEY = "k" * 32
CONTRACT = {
    "DATABASE_URL": "sqlite:///petsong.db", "REDIS_URL": "redis://localhost:6379/0", "SECRET_KEY": "required",
    "CAMPAIGN": "valentines", "EXTERNAL_API_URL": "https://api.sonauto.ai/v1", "SONAUTO_API_KEY": "", "WEBHOOK_BASE_URL": "",
    "PUBLIC_BASE_URL": "", "MAX_CONCURRENT_REQUESTS": "10", "MAX_RETRIES": "3", "FORM_SUBMIT_RETRY": "10",
    "QUEUE_PROCESSOR_INTERVAL": "60", "CREDITS_CHECK_INTERVAL": "600", "TIMEOUT_CHECK_INTERVAL": "300", "SWEEP_INTERVAL": "30",
    "POLL_INTERVAL": "20", "MIN_AVAILABLE_CREDITS": "5000", "SONG_PRICE_CREDITS": "100", "WEBHOOK_TIMEOUT_MINUTES": "10",
    "UNKNOWN_AFTER_MINUTES": "10", "SONG_MAX_MINUTES": "20", "QUEUE_MAX_HOURS": "24", "MAX_WAIT_MINUTES": "120",
    "API_REQUEST_TIMEOUT_SECONDS": "30", "RETRY_BACKOFF": "10,30,60", "IMG_STORAGE": "storage/uploads",
    "AUDIO_STORAGE": "storage/audio", "VIDEO_STORAGE": "storage/video", "STORAGE_URL": "", "MEDIA_BASE_URL": "",
    "SENDFILE": "off",
    "VIDEO_FPS": "30", "VINYL_RPM": "20", "VIDEO_RESOLUTION": "720", "PET_IMAGE_SIZE": "360", "VINYL_SIZE": "736",
    "VIDEO_CRF": "28", "AUDIO_BITRATE": "192k", "LOUDNESS_LUFS": "-14", "TRUE_PEAK_DB": "-1", "VIDEO_ASSETS_DIR": "",
    "VIDEO_BACKGROUND": "background.png", "VIDEO_VINYL_TEMPLATE": "record.png", "VIDEO_NEEDLE": "needle.png", "FFMPEG": "",
    "FILE_RETENTION_DAYS": "30", "SUBMISSIONS_PER_HOUR_PER_IP": "20", "RESULTS_PER_HOUR_PER_IP": "100",
    "SONG_HOSTS": "cdn.sonauto.ai,*.sonauto.ai,*.treblo.com", "ALLOWED_ORIGINS": "", "TRUSTED_PROXIES": "0",
    "ADMIN_USERNAME": "admin", "ADMIN_PASSWORD": "",
    "WORKERS": "dispatch:1,sonauto:2,downloads:2,renders:1,periodic:1", "PORT": "8000", "LOG_LEVEL": "INFO",
    "LOG_FORMAT": "json",
    "SENTRY_DSN": "",
}
BEYOND = {
    "ALERT_FAILURE_PERCENT", "ALERT_SILENCE_MINUTES", "ALERT_WAITING_MINUTES", "ALERT_WEBHOOK_SECRET",
    "ALERT_WEBHOOK_URL", "EVENTS_WEBHOOK_SECRET", "EVENTS_WEBHOOK_URL", "METRICS_TOKEN", "OUTGOING_ORIGINS",
    "SPEND_LIMIT_PER_DAY", "SPEND_LIMIT_PER_HOUR", "TURN_CACHE", "VIDEO_FORMATS", "WEB_CONCURRENCY",
}
NEEDS = {"events_webhook_url": "EVENTS_WEBHOOK_SECRET"}  # an example that is right together with another


def load(**environ: str) -> Settings:
    return load_settings({"SECRET_KEY": KEY, **environ})


def test_every_setting_has_its_contracted_default() -> None:
    found = {name: default for name, default, _ in describe()}
    assert CONTRACT.items() <= found.items()
    assert set(found) - set(CONTRACT) == BEYOND
    assert all(description for _, _, description in describe())


def test_defaults_as_text_are_the_defaults() -> None:
    given = {name: default for name, default, _ in describe() if name != "SECRET_KEY"}
    assert load(**given) == load()


def test_every_setting_has_an_example_that_is_right() -> None:
    for name, field in Settings.model_fields.items():
        extra = field.json_schema_extra
        example = extra["example"] if isinstance(extra, dict) else None
        if example and name != "video_assets_dir":
            together = {name.upper(): str(example)}
            if name in NEEDS:
                together[NEEDS[name]] = "whsec_ZXhhbXBsZS1zZWNyZXQtZXhhbXBsZS1zZWNyZXQ="
            load(**together)


# ---- what is wrong

@pytest.mark.parametrize(("name", "value"), [
    ("DATABASE_URL", "mysql://localhost/x"), ("DATABASE_URL", "petsong.db"), ("DATABASE_URL", "sqlite:///"),
    ("DATABASE_URL", "postgresql://localhost:port/x"), ("DATABASE_URL", "postgresql://localhost:99999/x"),
    ("DATABASE_URL", "postgresql://localhost"), ("DATABASE_URL", "postgresql://"),
    ("REDIS_URL", "localhost:6379"), ("REDIS_URL", "http://localhost"), ("REDIS_URL", "redis://localhost:port/0"),
    ("REDIS_URL", "unix://"),
    ("SECRET_KEY", "short"), ("SECRET_KEY", ""), ("CAMPAIGN", "nothing"), ("CAMPAIGN", "/nowhere/at/all"), ("CAMPAIGN", ".."),
    ("EXTERNAL_API_URL", "api.sonauto.ai"), ("EXTERNAL_API_URL", "ftp://api.sonauto.ai"), ("EXTERNAL_API_URL", "https://"),
    ("WEBHOOK_BASE_URL", "songs.example.com"), ("PUBLIC_BASE_URL", "https://songs.example.com:port"),
    ("PUBLIC_BASE_URL", "https://a b"),
    ("MEDIA_BASE_URL", "//media.example.com"), ("MEDIA_BASE_URL", "https://[::1"),
    *((name, value) for name in ("MAX_CONCURRENT_REQUESTS", "FORM_SUBMIT_RETRY", "MAX_RETRIES", "SUBMISSIONS_PER_HOUR_PER_IP",
                                 "RESULTS_PER_HOUR_PER_IP", "PORT", "WEB_CONCURRENCY") for value in ("0", "-1", "x",
                                 "1.5", "1e9999")),
    *((name, value) for name in ("QUEUE_PROCESSOR_INTERVAL", "CREDITS_CHECK_INTERVAL", "TIMEOUT_CHECK_INTERVAL",
        "SWEEP_INTERVAL",
                                 "POLL_INTERVAL", "WEBHOOK_TIMEOUT_MINUTES", "UNKNOWN_AFTER_MINUTES", "SONG_MAX_MINUTES",
                                 "QUEUE_MAX_HOURS",
                                 "MAX_WAIT_MINUTES", "FILE_RETENTION_DAYS") for value in ("0", "-1", "soon", "nan", "inf")),
    ("MIN_AVAILABLE_CREDITS", "-1"), ("SONG_PRICE_CREDITS", "-1"), ("API_REQUEST_TIMEOUT_SECONDS", "61"),
    ("API_REQUEST_TIMEOUT_SECONDS", "nan"), ("RETRY_BACKOFF", "soon"), ("RETRY_BACKOFF", "10,-1"), ("RETRY_BACKOFF", ","),
    ("RETRY_BACKOFF", "10,nan"), ("RETRY_BACKOFF", "inf"), ("SENDFILE", "yes"), ("STORAGE_URL", "s3://bucket"),
    ("VIDEO_FORMATS", "hd"), ("VIDEO_FORMATS", "square,wide"), ("VIDEO_FORMATS", "square,hd,hd"),
    ("VIDEO_FPS", "0"), ("VIDEO_FPS", "61"), ("VINYL_RPM", "0"), ("VINYL_RPM", "nan"), ("VIDEO_RESOLUTION", "4000"),
    ("VIDEO_CRF", "52"),
    ("PET_IMAGE_SIZE", "10"), ("VINYL_SIZE", "2000"), ("AUDIO_BITRATE", "192"), ("AUDIO_BITRATE", "192k -y"),
    ("LOUDNESS_LUFS", "0"),
    ("LOUDNESS_LUFS", "nan"), ("TRUE_PEAK_DB", "1"), ("TRUE_PEAK_DB", "-inf"), ("TRUSTED_PROXIES", "-1"),
    ("TRUSTED_PROXIES", "yes"),
    ("WORKERS", "all:3"), ("WORKERS", "renders"), ("WORKERS", "renders:many"), ("WORKERS", "renders:-1"), ("PORT", "65536"),
    ("LOG_LEVEL", "LOUD"), ("LOG_LEVEL", "info"), ("LOG_FORMAT", "xml"),
    ("ALLOWED_ORIGINS", "www.example.com"), ("ALLOWED_ORIGINS", "https://www.example.com/path"), ("ALLOWED_ORIGINS", "*"),
    ("ALLOWED_ORIGINS", "https://a.example,b.example"), ("ALLOWED_ORIGINS", "null"),
    ("SONG_HOSTS", "https://cdn.sonauto.ai/songs"), ("SONG_HOSTS", "*"), ("SONG_HOSTS", "ftp://x"), ("SONG_HOSTS", "a b"),
    ("SONG_HOSTS", "http://"), ("SONG_HOSTS", "cdn.*.ai"), ("SONG_HOSTS", ","),
])
def test_a_wrong_value_is_one_line_with_name_problem_and_example(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(**{name: value})
    line = str(caught.value)
    assert line.startswith(f"{name}: ") and "\n" not in line
    problem, _, example = line.partition(". Right would be: ")
    assert len(problem) > len(name) + 5 and example


def test_a_missing_secret_is_named() -> None:
    for environ in ({}, {"SECRET_KEY": ""}):
        with pytest.raises(SettingsError, match="^SECRET_KEY: is required. Right would be: SECRET_KEY="):
            load_settings(environ)


def test_secrets_do_not_stand_in_the_message() -> None:
    for environ in ({"DATABASE_URL": "mysql://petsong:hush-hush@localhost/x"}, {"SECRET_KEY": "hush-hush"},
                    {"REDIS_URL": "rediss//:hush-hush@localhost"},
                    {"DATABASE_URL": "postgresql://petsong:hush-hush@localhost:port/x"}):
        with pytest.raises(SettingsError) as caught:
            load(**environ)
        assert "hush-hush" not in str(caught.value)


@pytest.mark.parametrize(("name", "value"), [
    ("DATABASE_URL", "postgresql://petsong:p%40ss@localhost:5432/petsong?sslmode=require"),
    ("DATABASE_URL", "postgres://localhost/x"),
    ("DATABASE_URL", "postgresql:///petsong?host=/run/postgresql"), ("DATABASE_URL", "sqlite:////srv/petsong.db"),
    ("REDIS_URL", "unix:///run/redis.sock?db=1"), ("REDIS_URL", "rediss://:pass@host:6380/2"),
    ("SONG_HOSTS", "http://127.0.0.1:9000"),
    ("SONG_HOSTS", "cdn.example.com, *.example.com , http://[::1]:9000"),
    ("ALLOWED_ORIGINS", "http://localhost:3000,https://a.example"),
    ("RETRY_BACKOFF", "0.5"), ("RETRY_BACKOFF", " 1 , 2 "), ("SWEEP_INTERVAL", "0.5"), ("TRUSTED_PROXIES", "2"),
    ("WORKERS", "renders:0"), ("VIDEO_FORMATS", "square"), ("VIDEO_FORMATS", "square, story"),
])
def test_right_values_are_taken(name: str, value: str) -> None:
    load(**{name: value})


def test_values_have_their_types() -> None:
    settings = load(RETRY_BACKOFF="1,2.5", WORKERS="renders:3, dispatch:1",
        ALLOWED_ORIGINS="https://a.example , https://b.example",
                    PUBLIC_BASE_URL="https://songs.example.com/", WEBHOOK_BASE_URL="https://hooks.example.com")
    assert settings.retry_backoff == (1.0, 2.5)
    assert [settings.backoff(tries) for tries in (0, 1, 2, 3, 99)] == [1.0, 1.0, 2.5, 2.5, 2.5]
    assert settings.workers == {"renders": 3, "dispatch": 1}
    assert settings.allowed_origins == ("https://a.example", "https://b.example")
    assert settings.site_url == "https://songs.example.com"
    assert load(WEBHOOK_BASE_URL="https://hooks.example.com/").site_url == "https://hooks.example.com"
    assert set(load().workers) == set(QUEUE_NAMES)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load().port = 1


def test_an_empty_value_is_an_unset_one() -> None:
    assert load(PORT="", WORKERS="", ALLOWED_ORIGINS="") == load()


# ---- environment over campaign over default

@pytest.fixture
def campaign(tmp_path: Path) -> Path:
    """A campaign with limits of its own."""
    folder = tmp_path / "fair"
    shutil.copytree(CAMPAIGNS / "valentines", folder)
    text = (folder / "campaign.toml").read_text().replace('name = "valentines"', 'name = "fair"')
    assert "[limits]\n" in text
    (folder / "campaign.toml").write_text(
        text.replace("[limits]\n", '[limits]\nFORM_SUBMIT_RETRY = 5\nMAX_WAIT_MINUTES = 7.5\nRETRY_BACKOFF = "1,2"\n')
    )
    return folder


def test_a_campaigns_limits_stand_between_environment_and_default(campaign: Path) -> None:
    settings = load(CAMPAIGN=str(campaign), MAX_WAIT_MINUTES="9")
    assert (settings.form_submit_retry, settings.max_wait_minutes, settings.retry_backoff) == (5, 9.0, (1.0, 2.0))
    assert settings.max_retries == 3
    assert load().form_submit_retry == 10


@pytest.mark.parametrize(("line", "name"), [
    ("FORM_SUBMIT_RETRY = 0", "FORM_SUBMIT_RETRY"), ('PORT = "x"', "PORT"), ("NOT_A_SETTING = 1", "NOT_A_SETTING"),
])
def test_a_wrong_limit_of_a_campaign_is_named(campaign: Path, line: str, name: str) -> None:
    file = campaign / "campaign.toml"
    file.write_text(file.read_text().replace("FORM_SUBMIT_RETRY = 5", line))
    with pytest.raises(SettingsError, match=f"^{name}: "):
        load(CAMPAIGN=str(campaign))


# ---- processes

def start(folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    code = "from petsong.settings import load_settings as load; print(load().port, load().max_retries)"
    clean = {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
    env = {**clean, "PYTHONPATH": str(repository()), **environ}
    return subprocess.run([sys.executable, "-c", code], cwd=folder, env=env, capture_output=True, text=True, timeout=60)


def test_an_env_file_is_read_and_the_environment_wins(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"SECRET_KEY={KEY}\nPORT=8123\nMAX_RETRIES=7\nOTHER=1\nEMPTY\n")
    assert start(tmp_path).stdout == "8123 7\n"
    assert start(tmp_path, PORT="9000").stdout == "9000 7\n"


@pytest.mark.parametrize("command", [("-m", "petsong.migrate"), ("-m", "jobs.worker", "renders"), ("-m", "jobs.schedule")])
def test_processes_end_with_the_line_alone(tmp_path: Path, command: tuple[str, ...]) -> None:
    clean = {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
    env = {**clean, "PYTHONPATH": str(repository()), "SECRET_KEY": KEY, "PORT": "x"}
    done = subprocess.run([sys.executable, *command], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [line for line in done.stderr.splitlines() if line.startswith("PORT: ")]
    assert len(done.stderr.splitlines()) == 1 and done.stdout == ""
