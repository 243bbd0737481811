"""scripts/chaos: the drill from start to verdict."""
import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import psycopg2

from scripts.chaos_run import canaries, checker, proc, report
from scripts.chaos_run.campaign import Campaign
from scripts.chaos_run.clearing import clear_orphans
from scripts.chaos_run.house import FPS, SLOTS, House, Options
from scripts.chaos_run.nemesis import Nemesis
from scripts.chaos_run.records import Records, hear_videos, read_disk, read_tables
from scripts.chaos_run.watch import FileWatch, Recoveries, RedisWatch, watching
from scripts.servers import ServerError
from scripts.supervisor import StartError

STREAM_SHARE = 0.9  # of the time, in which visitors come
END_SECONDS = 300.0  # after the healing everything has to end
SLOWEST_SHOWN = 5
REDIS_SEEN = "redis-seen.txt"
QUIET_SECONDS = 8.0  # a process that lives as long without a reason is left over
OPEN = """SELECT (SELECT count(*) FROM submissions WHERE stage NOT IN ('done', 'failed') OR lease_until IS NOT NULL)
+ (SELECT count(*) FROM attempts WHERE ended_at IS NULL AND (task_id IS NOT NULL OR call_started_at IS NULL))"""


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("scripts/chaos", description="Let everything die, then judge what came of it.")
    parser.add_argument("--minutes", type=float, default=2, help="how long the nemesis acts (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of its acts and of the visitors (default: %(default)s)")
    parser.add_argument("--submissions", type=int, default=40, help="in that time (default: %(default)s)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="work here and leave logs and records; after a violation "
                        "they stay anyway")
    parser.add_argument("--peace", action="store_true", help="without the nemesis: is the drill itself right?")
    return parser.parse_args(argv)


class Drill:
    def __init__(self, options: argparse.Namespace, folder: Path, say: Callable[[str], None]) -> None:
        self.options, self.folder, self.say = options, folder, say
        self.house = House(folder, Options(sandbox=("--generate-seconds", "4")), say)
        self.records = Records(slots=SLOTS, fps=FPS)

    def run(self) -> dict[str, Any]:
        """The summary; raises StartError, ServerError where there was no drill at all."""
        seconds = self.options.minutes * 60
        self.house.start()
        campaign = Campaign(self.house.url, self.folder, self.options.seed, self.options.submissions, seconds * STREAM_SHARE)
        recoveries, files = Recoveries(self.house), FileWatch(self.house.folders)
        held = RedisWatch(self.house.redis.url, self.folder / REDIS_SEEN)
        nemesis = Nemesis(self.house, recoveries, self.options.seed, self.say)
        with watching(recoveries, files, held):
            self.say("the doors open")
            campaign.start()
            if not self.options.peace:
                nemesis.run(seconds)
            nemesis.heal()
            self.say("all is healed")
            waited = self._wait_for_the_end(campaign)
        self.records.processes += self._stray_processes()
        campaign.end()
        held.look()
        self._read(campaign, files)
        return self._verdict(
            recoveries, acts=sum(nemesis.acts.values()), ended_after_s=round(waited, 1), redis_looks=held.looks
        )

    def _verdict(self, recoveries: Recoveries, **more: Any) -> dict[str, Any]:
        findings = checker.judge(self.records)
        self.records.save(self.folder / "records.json")
        slowest = sorted(recoveries.seconds, key=lambda one: -one[1])[:SLOWEST_SHOWN]
        for line in [*report.in_words(findings), *(f"recovery {seconds:.1f} s: {kind}" for kind, seconds in slowest)]:
            self.say(line)
        options = self.options
        return report.summary(
            options.seed, options.minutes, findings, recoveries, submissions=options.submissions, ended=self._ends(), **more
        )

    def _ends(self) -> dict[str, int]:
        reasons = [row["fail_reason"] or row["stage"] for row in self.records.submissions]
        return {reason: reasons.count(reason) for reason in sorted(set(reasons))}

    # ---- to the end

    def _wait_for_the_end(self, campaign: Campaign) -> float:
        """Seconds until everything had ended, at most END_SECONDS."""
        began = time.monotonic()
        while time.monotonic() - began < END_SECONDS:
            if campaign.finished() and self._nothing_open():
                break
            time.sleep(0.5)
        return time.monotonic() - began

    def _nothing_open(self) -> bool:
        try:
            connection = self.house.connect()
            try:
                with connection.cursor() as cursor:
                    cursor.execute(OPEN)
                    return cursor.fetchone() == (0,)
            finally:
                connection.close()
        except psycopg2.Error:
            return False

    def _stray_processes(self) -> list[str]:
        """Neither one of the house nor gone after a while: jobs and their ffmpeg come and go, but not for so long."""
        suspects = self._strangers()
        ends = time.monotonic() + QUIET_SECONDS
        while suspects and time.monotonic() < ends:
            time.sleep(0.5)
            suspects = [one for one in suspects if one in self._strangers()]
        return [f"{proc.name_of(one)} with nothing to do" for one in suspects]

    def _strangers(self) -> list[proc.Process]:
        expected = self.house.expected_processes()
        return [one for one in proc.with_mark(self.house.mark) if one not in expected]

    # ---- reading

    def _read(self, campaign: Campaign, files: FileWatch) -> None:
        house, records = self.house, self.records
        records.told = list(campaign.diary.told)
        records.ledger = house.sandbox.ledger()
        house.stop()
        records.processes += [f"{proc.name_of(one)} after the stop" for one in proc.with_mark(house.mark)]
        clear_orphans(house)
        tables = read_tables(house.database_url)
        records.submissions, records.attempts = tables["submissions"], tables["attempts"]
        records.events, records.renditions = tables["events"], tables["renditions"]
        records.disk, records.changed = read_disk(house.folders), files.changed
        videos = [row["generated_video_path"] for row in records.submissions if row["generated_video_path"]]
        records.heard = hear_videos(videos, house.folders, house.ffmpeg)
        logs = [path for path in house.logs.glob("*.log") if path.stem != "sandbox"]
        wanted = canaries.needles({**house.secrets, "the database's password": house.database_url.split(":")[2].split("@")[0]})
        tokens = [attempt["token"] for attempt in records.attempts]
        records.leaks = canaries.search([*logs, self.folder / REDIS_SEEN], wanted, tokens)

    def close(self) -> None:
        self.house.close()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main(argv: list[str] | None = None) -> int:
    options = arguments(sys.argv[1:] if argv is None else argv)
    signal.signal(signal.SIGTERM, _interrupt)
    folder = options.keep.resolve() if options.keep else Path(tempfile.mkdtemp(prefix="petsong-chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        print(f"chaos: {folder} is not empty: take --keep with a new folder", file=sys.stderr)
        return 2
    say = Say(folder / "story.log")
    drill = Drill(options, folder, say)
    try:
        summary = drill.run()
    except (StartError, ServerError) as error:
        print(f"chaos: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("chaos: stopped", file=sys.stderr)
        return 130
    finally:
        drill.close()
    violated = any(summary["violations"].values())
    if violated or options.keep:
        print(f"logs and records: {folder}", file=sys.stderr)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(summary), flush=True)
    return 1 if violated else 0


class Say:
    """For people: to the standard error and into the story, with the time of day."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w")

    def __call__(self, line: str) -> None:
        told = f"{time.strftime('%H:%M:%S')} {line}"
        print(told, file=sys.stderr, flush=True)
        self._file.write(told + "\n")
        self._file.flush()


if __name__ == "__main__":
    sys.exit(main())
