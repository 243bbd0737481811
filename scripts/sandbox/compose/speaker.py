"""python -m scripts.sandbox.compose.speaker: speaks single words with espeak-ng's library, in a process of its own.

It reads one JSON object, {library, data, variant, fallback, pitch, rate, words: [[text, language, mnemonics], ...]}, and
writes one line of JSON and then the sound: {rate, words: [[samples, [[at, phoneme], ...]], ...]}; the sound is all
words' samples one after the other, 16 bit mono; phonemes are in IPA with stress marks, `at` counts samples in the word.
Native code is told to speak what strangers typed: where it crashes, this process alone ends.
"""

import ctypes
import json
import sys
from typing import Any

# From espeak-ng's speak_lib.h.
_RETRIEVAL, _PHONEME_EVENTS, _IPA, _DONT_EXIT = 1, 0x1, 0x2, 0x8000
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
_UTF8, _MNEMONICS = 0x1, 0x100
_LIST_TERMINATED, _PHONEME = 0, 7
LONGEST_SECONDS = 8  # of a word: some spell out what they cannot read


class _Id(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    ]


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class Speaker:
    def __init__(self, library: str, data: str | None) -> None:
        """Raises OSError when the library cannot be loaded or finds no data."""
        self._library = ctypes.CDLL(library)
        path = data.encode() if data else None
        options = _PHONEME_EVENTS | _IPA | _DONT_EXIT
        self.rate = self._library.espeak_Initialize(_RETRIEVAL, 0, path, options)
        if self.rate <= 0:
            raise OSError(f"{library} does not start with the data in {data}")
        self._voices: tuple[str, ...] = ()
        self._sound = bytearray()
        self._events: list[tuple[int, str]] = []
        self._callback = _Callback(self._take)  # kept: the library has only its address
        self._library.espeak_SetSynthCallback(self._callback)

    def set(self, pitch: int, rate: int) -> None:
        """Pitch (0-100) without any melody of its own, rate in words a minute."""
        for parameter, value in ((_PITCH, pitch), (_RATE, rate), (_RANGE, 0), (_VOLUME, 80)):
            self._library.espeak_SetParameter(parameter, value, 0)

    def voice(self, *names: str) -> None:
        """The first of these voices that there is."""
        if names == self._voices:  # choosing one takes 10 ms
            return
        self._voices = names
        for name in names:
            if self._library.espeak_SetVoiceByName(name.encode()) == 0:
                return

    def say(self, text: str, mnemonics: bool) -> tuple[bytes, list[tuple[int, str]]]:
        self._sound.clear()
        self._events.clear()
        self._steady()
        raw = text.encode() + b"\0"
        flags = _UTF8 | (_MNEMONICS if mnemonics else 0)
        self._library.espeak_Synth(raw, len(raw), 0, 1, 0, flags, None, None)
        self._library.espeak_Synchronize()
        return bytes(self._sound), list(self._events)

    def _steady(self) -> None:
        """A voice's breath and flutter are random, begun by the clock: the same words must sound the same."""
        seed = getattr(self._library, "espeak_ng_SetRandSeed", None)  # not in old versions
        if seed is not None:
            seed(ctypes.c_long(1))
        else:
            ctypes.CDLL(None).srand(1)

    def _take(self, sound: Any, count: int, events: Any) -> int:
        if sound and count > 0:
            self._sound += ctypes.string_at(sound, count * 2)
        at = 0
        while events[at].type != _LIST_TERMINATED:
            if events[at].type == _PHONEME:
                phoneme = ctypes.string_at(ctypes.addressof(events[at].id), 8).split(b"\0")[0].decode(errors="ignore")
                self._events.append((events[at].sample, phoneme))
            at += 1
        return int(len(self._sound) > LONGEST_SECONDS * self.rate * 2)  # 1 ends the word


def main() -> int:
    asked = json.load(sys.stdin)
    try:
        speaker = Speaker(asked["library"], asked["data"])
    except OSError as error:
        print(f"no voice: {error}", file=sys.stderr)
        return 1
    said = []
    for text, language, mnemonics in asked["words"]:
        fallback = f"{asked['fallback']}+{asked['variant']}"
        speaker.voice(f"{language}+{asked['variant']}", fallback)
        speaker.set(asked["pitch"], asked["rate"])
        said.append(speaker.say(text, mnemonics))
    words = [[len(sound) // 2, events] for sound, events in said]
    sys.stdout.buffer.write(json.dumps({"rate": speaker.rate, "words": words}).encode() + b"\n")
    for sound, _events in said:
        sys.stdout.buffer.write(sound)
    return 0


if __name__ == "__main__":
    sys.exit(main())
