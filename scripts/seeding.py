"""Fill an empty PostgreSQL database with made-up songs of the last 30 days, as a campaign would have left them.

    scripts/seed postgresql://…/petsong [--songs 200000]

Rows only, no files: for looking at the desk with much in it, and for measuring. About 95 % are done and the rest failed, with
their orders, events, webhook receipts, renditions and readings of the balance; the newest 34 are on their way.
"""
import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

import psycopg2
from psycopg2.sql import SQL, Identifier

from petsong import database
from petsong.migrate import migrate

DAYS = 30

# One line for each song: everything about it follows from these.
PLAN = """
CREATE TEMP TABLE plan AS
SELECT n, 'a' || substr(md5('song ' || n), 1, 23) AS id, begun, chance, wait, sing, load, press, reason,
  CASE WHEN n > %(songs)s - 20 THEN 'queued' WHEN n > %(songs)s - 22 THEN 'sending' WHEN n > %(songs)s - 30 THEN 'generating'
       WHEN n > %(songs)s - 32 THEN 'downloading' WHEN n > %(songs)s - 34 THEN 'rendering'
       WHEN chance < 0.045 THEN 'failed' ELSE 'done' END AS stage
FROM (
  SELECT n, random() AS chance, CASE WHEN n > %(songs)s - 34 THEN now() - interval '10 seconds' * (%(songs)s - n)
      ELSE now() - interval '1 day' * %(days)s * (1 - n::float / %(songs)s) - interval '6 minutes' END AS begun,
    interval '1 second' * (0.2 + 8 * random() ^ 4) AS wait, interval '1 second' * (60 + 80 * random()) AS sing,
    interval '1 second' * (0.5 + 3 * random()) AS load, interval '1 second' * (1.5 + 4 * random() ^ 2) AS press,
    (ARRAY['service_failed', 'service_failed', 'timeout', 'order_refused', 'download_cut', 'ffmpeg_failed'])
      [1 + floor(6 * random())] AS reason
  FROM generate_series(1, %(songs)s) n
) numbers
"""
SUBMISSIONS = """
INSERT INTO submissions (session_id, created_at, cookie_id, owner_name, pet_name, photo_path, pet_type, music_vibe, retry_count,
  "sent_to_LLM", "LLM_task_id", "received_from_LLM", "LLM_response", "LLM_full_response", generated_song_path, "LLM_status",
  lyrics, video_creation_start, video_creation_end, generated_video_path, entry_status, campaign, stage, stage_since,
  life_since, former_attempts, claim_no, tries, next_check_at, fail_reason,
  owner_name_said, pet_name_said, prompt_alone, audio_seconds)
SELECT id, begun, 'cookie_' || substr(md5('visitor ' || n / 3), 1, 20),
  (ARRAY['Marisol', 'Ana Sample', 'Jonas', 'Zoë', 'Łukasz', 'Priya'])[1 + n %% 6],
  (ARRAY['Biscuit', 'Bello', 'Miso', 'Tante Emma', 'Rocky', 'Pixel', 'Luna', 'Knödel'])[1 + n %% 8],
  'uploads/' || id || '.jpg', (ARRAY['Dog', 'Cat', 'Bird', 'Fish', 'Other'])[1 + n %% 5],
  (ARRAY['Chill', 'Energetic', 'Romantic', 'Party', 'Relaxing', 'Other'])[1 + n %% 6], 0,
  sent, CASE WHEN sent IS NOT NULL THEN 'task-' || id END, CASE WHEN stage = 'done' THEN sung END,
  CASE WHEN stage = 'done' THEN 'https://songs.example/audio_' || id || '.mp3' END,
  CASE WHEN stage = 'done' THEN json_build_object('id', 'task-' || id, 'prompt', repeat(md5(id) || ' ', 12)) END,
  CASE WHEN stage = 'done' THEN 'audio/' || id || '.1.mp3' END,
  CASE stage WHEN 'done' THEN 'success' WHEN 'failed' THEN 'fail' END,
  CASE WHEN stage = 'done' THEN repeat('[Verse] ' || md5(id) || chr(10), 20) END,
  CASE WHEN stage = 'done' THEN sung + load END, CASE WHEN stage = 'done' THEN ended END,
  CASE WHEN stage = 'done' THEN 'video/' || id || '.5.mp4' END,
  CASE stage WHEN 'queued' THEN 'pending' WHEN 'done' THEN 'success' WHEN 'failed' THEN 'fail' ELSE 'processing' END,
  %(campaign)s, stage, CASE WHEN stage IN ('done', 'failed') THEN ended ELSE begun END, begun, 0, 5, 0,
  CASE WHEN stage NOT IN ('done', 'failed') THEN now() + interval '1 day' END,
  CASE WHEN stage = 'failed' THEN reason END, '', '', false, CASE WHEN stage = 'done' THEN 120 END
FROM (SELECT *, CASE WHEN stage <> 'queued' THEN begun + wait END AS sent, begun + wait + sing AS sung,
        begun + wait + sing + load + press AS ended FROM plan) songs
"""
ATTEMPTS = """
INSERT INTO attempts (session_id, number, token, flagged, claimed_at, call_started_at, outcome, outcome_detail, task_id,
  silent_seconds, ended_at, ended_as, credits)
SELECT id, 1, md5('token ' || id) || md5('end ' || id), false, begun, begun + wait,
  CASE WHEN stage <> 'sending' THEN 'accepted' END, '', 'task-' || id, 0,
  CASE WHEN stage NOT IN ('sending', 'generating') THEN least(begun + wait + sing, now()) END,
  CASE WHEN stage = 'failed' AND reason IN ('service_failed', 'order_refused') THEN 'failure'
       WHEN stage = 'failed' AND reason = 'timeout' THEN 'timeout'
       WHEN stage NOT IN ('sending', 'generating') THEN 'success' END,
  CASE WHEN stage NOT IN ('sending', 'generating', 'failed') OR reason IN ('download_cut', 'ffmpeg_failed') THEN 100 ELSE 0 END
FROM plan WHERE stage <> 'queued'
"""
EVENTS = """
INSERT INTO events (session_id, at, from_stage, to_stage, claim_no, attempt, reason, detail)
SELECT id, at, from_stage, to_stage, claim_no, 1, why, '' FROM plan, LATERAL (VALUES
  (begun, 'queued', 'queued', 0, 'submitted', true),
  (begun + wait / 2, 'queued', 'sending', 1, 'claimed', stage <> 'queued'),
  (begun + wait, 'sending', 'generating', 2, 'accepted', stage NOT IN ('queued', 'sending')),
  (begun + wait + sing, 'generating', 'downloading', 3, 'song_ready', stage IN ('done', 'downloading', 'rendering')),
  (begun + wait + sing + load, 'downloading', 'rendering', 4, 'stored', stage IN ('done', 'rendering')),
  (begun + wait + sing + load + press, 'rendering', 'done', 5, 'rendered', stage = 'done'),
  (begun + wait + sing + load + press, 'generating', 'failed', 3, reason, stage = 'failed')
) AS moves(at, from_stage, to_stage, claim_no, why, made) WHERE made
"""
RECEIPTS = """
INSERT INTO webhook_receipts (attempt_id, at, outcome, body_hash)
SELECT a.id, a.ended_at + interval '1 second' * late, CASE late WHEN 0 THEN 'hint' ELSE 'late' END, md5(a.token) || md5('body')
FROM attempts a, generate_series(0, 1) late WHERE a.ended_at IS NOT NULL AND (late = 0 OR a.id %% 3 = 0)
"""
RENDITIONS = """
INSERT INTO renditions (session_id, kind, path, made_at, tries)
SELECT id, kind, 'video/' || id || '-' || kind, begun + wait + sing + load + press, 1
FROM plan, unnest(ARRAY['poster', 'preview']) kind WHERE stage = 'done'
"""
READINGS = """
INSERT INTO credit_readings (at, usable, unexplained)
SELECT at, 150 * %(songs)s - coalesce(sum(spent) OVER (ORDER BY at), 0), 0
FROM generate_series(now() - interval '1 day' * %(days)s, now(), interval '10 minutes') at
LEFT JOIN (
  SELECT ceil((extract(epoch FROM ended_at) - extract(epoch FROM now() - interval '1 day' * %(days)s)) / 600) AS place,
    sum(credits) AS spent FROM attempts GROUP BY 1
) orders ON place = round((extract(epoch FROM at) - extract(epoch FROM now() - interval '1 day' * %(days)s)) / 600)
"""
# Filled and then indexed is several times faster than indexed row by row.
PLAIN_INDEXES = """
SELECT indexname, indexdef FROM pg_indexes
WHERE schemaname = 'public' AND indexname NOT IN (SELECT conname FROM pg_constraint)
"""
UNSETTLED = """
SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
  AND relpages > 100 AND relallvisible < 0.99 * relpages
"""
VACUUMS = 10
STEPS = {
    "plan": PLAN, "submissions": SUBMISSIONS, "attempts": ATTEMPTS, "events": EVENTS, "webhook_receipts": RECEIPTS,
    "renditions": RENDITIONS, "credit_readings": READINGS,
}


def seed(url: str, songs: int, campaign: str = "valentines", say: Callable[[str], None] = lambda _: None) -> dict[str, int]:
    """{table: rows made}. Raises SystemExit where the database is not an empty one of PostgreSQL."""
    if url.startswith("sqlite"):
        raise SystemExit("Seeding is for PostgreSQL: postgresql://user:password@host:port/database")
    migrate(database.connect_to(url))
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT EXISTS (SELECT FROM submissions)")
            if cursor.fetchone() != (False,):
                raise SystemExit("This database has submissions already; take an empty one.")
            made = _fill(cursor, {"songs": songs, "days": DAYS, "campaign": campaign}, say)
        connection.autocommit = True
        with connection.cursor() as cursor:
            _settle(cursor)
    finally:
        connection.close()
    return made


def _fill(cursor: Any, values: dict[str, Any], say: Callable[[str], None]) -> dict[str, int]:
    cursor.execute(PLAIN_INDEXES)
    indexes = cursor.fetchall()
    for name, _ in indexes:
        cursor.execute(SQL("DROP INDEX {}").format(Identifier(name)))
    cursor.execute("SELECT usesuper FROM pg_user WHERE usename = current_user")
    if cursor.fetchone() == (True,):
        cursor.execute("SET LOCAL session_replication_role = replica")  # the rows fit together: no need to look each one up
    cursor.execute("SELECT setseed(0.5)")
    made: dict[str, int] = {}
    for table, statement in STEPS.items():
        began = time.monotonic()
        cursor.execute(statement, values)
        made[table] = cursor.rowcount
        say(f"{table}: {cursor.rowcount} rows in {time.monotonic() - began:.1f} s")
    began = time.monotonic()
    for _, definition in indexes:
        cursor.execute(definition)
    say(f"{len(indexes)} indexes in {time.monotonic() - began:.1f} s")
    return made


def _settle(cursor: Any) -> None:
    """As autovacuum would have done long ago. It may itself be reading just then, and its snapshot be in the way."""
    for _ in range(VACUUMS):
        cursor.execute("VACUUM ANALYZE")
        cursor.execute(UNSETTLED)
        if cursor.fetchone() == (0,):
            return
        time.sleep(1)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("scripts/seed", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("url", help="an empty database: postgresql://user:password@host:port/database")
    parser.add_argument("--songs", type=int, default=200_000, help="default: %(default)s")
    given = parser.parse_args(arguments)
    seed(given.url, given.songs, say=lambda line: print(line, flush=True))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
