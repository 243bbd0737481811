"""python -m scripts.sandbox: the offline song service, until SIGTERM or Ctrl-C."""

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from scripts.sandbox.listener import Listener, StartError, build
from scripts.sandbox.settings import TUNES, SettingError
from scripts.sandbox.tunes import BANDS, TuneError


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts.sandbox", description="A stand-in for the song service.")
    parser.add_argument("--port", type=int, default=9000, help="0 picks a free one")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--base-url", help="how others reach it, for song addresses (http://HOST:PORT)")
    parser.add_argument("--data", type=Path, default=Path("storage/sandbox"), help="folder of its memory")
    parser.add_argument("--songs", type=Path, help="folder of the songs made so far (DATA/songs)")
    parser.add_argument("--prewarm", action="store_true", help="make every vibe's premade song before listening")
    settings = parser.add_argument_group("settings", "left out: as before, or the default")
    settings.add_argument("--generate-seconds", type=float, help="from order to song (20); 0 is at once")
    settings.add_argument("--song-seconds", type=float, help="length of a premade song or a tone (100)")
    settings.add_argument("--align-seconds", type=float, help="from song to word timing (2)")
    settings.add_argument("--credits", type=int, help="granted in all (15000)")
    settings.add_argument("--slots", type=int, help="unfinished songs at once (10)")
    settings.add_argument("--key", help="the API key that is let in (sksonauto_sandbox)")
    settings.add_argument("--tune", choices=TUNES, help="a song per order (default), a song per vibe, or a pitch per order")
    settings.add_argument("--no-webhooks", dest="webhooks", action="store_const", const=False, help="send none")
    return parser


def _end(number: int, frame: FrameType | None) -> None:
    # At once: all that counts is in the store, and the kernel ends a running ffmpeg with us.
    os._exit(0)


def main() -> int:
    given = vars(_options().parse_args())
    port, host, base_url = given.pop("port"), given.pop("host"), given.pop("base_url")
    data, songs, prewarm = given.pop("data"), given.pop("songs"), given.pop("prewarm")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    try:
        listener = Listener(host, port)
        shown = base_url or f"http://{host if host not in ('0.0.0.0', '::') else '127.0.0.1'}:{listener.port}"  # noqa: S104
        settings = {name: value for name, value in given.items() if value is not None}
        house = build(data, songs or data / "songs", shown, settings)
        if prewarm:
            for vibe in BANDS:
                house.desk.prewarm(vibe)
    except (StartError, SettingError, TuneError) as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 1
    listener.run(house, f"sandbox listening on {shown}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
