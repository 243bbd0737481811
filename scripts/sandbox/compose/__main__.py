"""python -m scripts.sandbox.compose --wav FILE --words FILE < ORDER: composes one song in a process of its own.

The order is a JSON object with the fields of song.Order. Writes the song as 16 bit stereo WAV, and the words with their
times as JSON: {seconds, sung, bpm, words: [[text, start, end], ...]}. Exit code 3: numpy is missing; the last line of the
standard error says what to do.
"""

import argparse
import importlib.util
import json
import sys
import wave
from pathlib import Path
from typing import Any

NO_NUMPY = 3


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts.sandbox.compose", description="Composes one song.")
    parser.add_argument("--wav", type=Path, required=True)
    parser.add_argument("--words", type=Path, required=True)
    parser.add_argument("--no-voice", action="store_true", help="an instrument plays what would be sung")
    options = parser.parse_args()
    if importlib.util.find_spec("numpy") is None:
        print("numpy is missing: scripts/setup demo", file=sys.stderr)
        return NO_NUMPY
    from scripts.sandbox.compose.song import Order, compose

    given = json.load(sys.stdin)
    song = compose(Order(**given | {"tags": tuple(given["tags"])}), with_voice=not options.no_voice)
    write_wav(options.wav, song.mix)
    words = [[word.text, round(word.start, 3), round(word.end, 3)] for word in song.words]
    facts = {"seconds": round(song.mix.shape[1] / 44100, 3), "sung": song.sung, "bpm": round(song.score.bpm, 2)}
    options.words.write_text(json.dumps(facts | {"words": words}), encoding="utf-8")
    return 0


def write_wav(path: Path, stereo: Any) -> None:
    """Samples from -1 to 1, shape (2, n), as 16 bit PCM at 44.1 kHz."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44100)
        file.writeframes((stereo.T * 32767).round().astype("<i2").tobytes())


if __name__ == "__main__":
    sys.exit(main())
