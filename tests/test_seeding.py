"""The made-up songs that the desk is measured with: they fit together, and only an empty database gets them."""
from pathlib import Path

import pytest

from api_kit import let_go
from conftest import MakeDatabase
from kit import make_settings
from petsong import credits, database, overview
from petsong.campaigns.loader import load_campaign
from petsong.models import Attempt, Event, Submission
from petsong.queues import Queues, impatient_client
from scripts.seeding import seed


def test_seeded_songs_look_like_a_campaign(make_database: MakeDatabase, empty_redis: str, tmp_path: Path) -> None:
    url = make_database("postgresql")
    made = seed(url, 600)
    settings = make_settings(url, empty_redis, video_storage=tmp_path)
    queues = Queues(impatient_client(empty_redis))
    with database.connection():
        told = overview.gather(settings, queues, load_campaign("valentines"))
        songs = {state.stage: state.songs for state in told.stages}
        assert sum(songs.values()) == 600 and min(songs.values()) > 0 and songs["done"] > 500
        assert told.slots_used == 10 and told.history.sample_songs == 200
        assert all(state.median_seconds for state in told.stages if state.stage not in ("done", "failed"))
        assert told.balance.fresh and told.pace.last_day > 0 and len(told.failures) > 2
        entries, total = credits.ledger(1, 500)
        assert total == made["credit_readings"]
        assert all(-(entry.change or 0) == entry.paid for entry in entries[:-1])
        ends = Event.select().where(Event.to_stage.in_(["done", "failed"])).count()
        assert ends == songs["done"] + songs["failed"]
        assert Submission.select().where(Submission.stage == "queued", Submission.session_id.in_(
            Attempt.select(Attempt.submission))).count() == 0
    queues.client.close()
    with pytest.raises(SystemExit, match="has submissions already"):
        seed(url, 600)
    let_go()


def test_seeding_is_for_postgresql(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="Seeding is for PostgreSQL"):
        seed(f"sqlite:///{tmp_path / 'x.db'}", 10)
