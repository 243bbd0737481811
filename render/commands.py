"""ffmpeg command lines as pure functions of their arguments; nothing here runs anything.

Only our own numbers reach an option or a filter. Files are always `file:` and an absolute path, so that no name can
be read as an option, a protocol or a pattern; every input has its format pinned and may open nothing but files.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from render.spec import VideoSpec

QUIET = ["-hide_banner", "-nostdin", "-nostats", "-progress", "pipe:1", "-stats_period", "0.2"]
ONLY_FILES = ["-protocol_whitelist", "file,pipe"]
# Nothing but the two streams: copied chapters or cover art have made 30 s clips 81 minutes long.
BARE = ["-map_metadata", "-1", "-map_chapters", "-1", "-dn", "-sn"]
X264 = "chromaloc=1:rc-lookahead=10:ref=1:psy-rd=0,0:chroma-qp-offset=4:trellis=2:subme=9"
SILENCE_DB = -60
SILENCE_SECONDS = 0.5


def file_url(path: Path) -> str:
    """The path as ffmpeg must be given it, whatever characters the name has."""
    return "file:" + os.path.abspath(path)


def _quoted(path: Path) -> str:
    """The path as a value among an option's key=value pairs."""
    return "'" + os.path.abspath(path).replace("'", r"'\''") + "'"


def song_input(song: Path, skip: int = 0) -> list[str]:
    """An MP3 and nothing else: without -f a text file of that name is opened as a playlist.

    `skip` bytes of tags: ffmpeg would read them whatever is told it, and needs minutes where one has 100,000 frames.
    """
    tags = ["-skip_initial_bytes", str(skip)] if skip else []
    return [*ONLY_FILES, "-threads", "1", *tags, "-f", "mp3", "-i", file_url(song)]


def check_args(ffmpeg: str, song: Path, skip: int = 0) -> list[str]:
    """One decode of the whole song through silencedetect, ebur128 with true peak, and volumedetect to nowhere.

    A second volumedetect hears what the left channel has and the right one has not; in a chain of its own, for its
    wish for two channels would change the first one's readings of mono songs.
    framelog=verbose keeps ebur128's ten lines a second out of the log (Debian's 5.1 has no "quiet").
    """
    heard = (f"silencedetect=noise={SILENCE_DB}dB:d={SILENCE_SECONDS},"
             "ebur128=peak=true:framelog=verbose,volumedetect@song")
    apart = "aformat=channel_layouts=stereo,pan=1c|c0=c0-c1,volumedetect@difference"
    return [ffmpeg, *QUIET, "-loglevel", "info", *song_input(song, skip),
            *(option for chain in (heard, apart) for option in ("-map", "0:a:0", *BARE, "-af", chain, "-f", "null", "-"))]


@dataclass(frozen=True)
class Coding:
    """How a turn's bits are spread: x264's qcomp, and what is added to the spec's CRF.

    The first picture gets `first` times its usual bits, each of the last `lead` pictures `last` times.
    """

    qcomp: float
    more_crf: int
    first: float
    lead: int
    last: float


DETAILED = Coding(qcomp=0.3, more_crf=0, first=3, lead=3, last=2)
PLAIN = Coding(qcomp=0.6, more_crf=2, first=6, lead=5, last=3)


def turn_args(ffmpeg: str, spec: VideoSpec, out: Path, coding: Coding = DETAILED, lead: int = 0,
              decoded: Path | None = None) -> list[str]:
    """Raw yuv420p frames from standard input to one closed group of pictures that can follow itself for ever.

    `lead` pictures at the end are those that the first one was made to follow (turns.py). `decoded` gets all pictures
    as players will see them, as raw yuv420p.

    Measured on a photo finer than fur, 720 px, CRF 28, 120 s with 192k sound (size, SSIM of the luma, peak memory):
    preset fast as it is 8.9 MB, 0.965, 131 MB, and 300 MB for a story; slow 8.8 MB in twice the time; veryfast 8.0 MB,
    0.957. A look-ahead of 10 frames and one reference bring the memory to 87 MB, and 170 MB for a story. The first frame
    gets more (zones): what stands still is then never mended later, so that it does not pulse once a turn. Less for
    the others (qcomp), for noise that rotates away (psy-rd) and for colour, and a longer search, pay for it.
    docs/rendering.md has the figures of each.
    """
    zones = f"0,0,b={coding.first:g}"
    if lead:
        zones += f"/{spec.turn_frames - lead},{spec.turn_frames - 1},b={coding.last:g}"
    options = f"{X264}:qcomp={coding.qcomp:g}:zones={zones}" + (f":dump-yuv={_quoted(decoded)}" if decoded else "")
    return [ffmpeg, *QUIET, "-loglevel", "error", "-y",
            *ONLY_FILES, "-f", "rawvideo", "-pix_fmt", "yuv420p", "-video_size", f"{spec.width}x{spec.height}",
            "-framerate", str(spec.fps), "-i", "pipe:0", "-an", *BARE,
            "-c:v", "libx264", "-preset", "fast", "-threads", "1", "-crf", str(min(51, spec.crf + coding.more_crf)),
            "-pix_fmt", "yuv420p",
            "-bf", "0", "-g", str(spec.turn_frames), "-keyint_min", str(spec.turn_frames), "-sc_threshold", "0",
            "-flags", "+cgop", "-x264-params", options,
            "-color_range", "tv", "-colorspace", "smpte170m", "-color_primaries", "bt709", "-color_trc", "bt709",
            "-f", "mp4", file_url(out)]


def aac_options(spec: VideoSpec, rate: int, sound_filter: str) -> list[str]:
    """AAC by the fast coder, in half the default coder's time.

    Its intensity stereo and early cut-off are what make it sound worse; without the first and with the second at 20 kHz
    it is nearer to the source than the default in every band: docs/rendering.md has the figures.
    """
    return [*(["-af", sound_filter] if sound_filter else []), "-ar", str(rate),
            "-c:a", "aac", "-b:a", spec.audio_bitrate, "-aac_coder", "fast", "-aac_is", "0",
            "-cutoff", str(min(20000, rate * 9 // 20))]


def sound_args(ffmpeg: str, song: list[str], spec: VideoSpec, rate: int, sound_filter: str, seconds: float, out: Path,
               ) -> list[str]:
    """A song_input as AAC alone, in fragments of half a second, each written at once: others read while it grows."""
    return [ffmpeg, *QUIET, "-loglevel", "error", "-y", *song, "-map", "0:a:0", "-vn", *BARE,
            *aac_options(spec, rate, sound_filter), "-t", f"{seconds:.6f}",
            "-movflags", "+empty_moov+delay_moov+default_base_moof", "-frag_duration", "500000", "-flush_packets", "1",
            "-f", "mp4", file_url(out)]


def video_args(ffmpeg: str, turn: Path, sound: list[str], coding: list[str], seconds: float, out: Path) -> list[str]:
    """The turn's packets again and again beside the sound, moov first; -t because -shortest overshoots.

    `sound` is the second input (a song, or AAC that is ready), `coding` what to do with it.
    """
    return [ffmpeg, *QUIET, "-loglevel", "error", "-y",
            *ONLY_FILES, "-stream_loop", "-1", "-f", "mp4", "-i", file_url(turn), *sound,
            "-map", "0:v:0", "-map", "1:a:0", *BARE, "-c:v", "copy", *coding, "-t", f"{seconds:.6f}",
            "-movflags", "+faststart", "-f", "mp4", file_url(out)]


def finished_input(video: Path) -> list[str]:
    """A finished video, for its sound."""
    return [*ONLY_FILES, "-f", "mp4", "-i", file_url(video)]


def piped_input() -> list[str]:
    """What sound_args writes, from standard input.

    It begins with the encoder's priming, 1024 samples before 0; -copyts keeps it there, else some versions move it to 0.
    The queue must not run empty while there is more: ffmpeg looks again only after 10 ms, and its usual 8 packets are 190 ms.
    """
    return [*ONLY_FILES, "-copyts", "-thread_queue_size", "512", "-f", "mp4", "-i", "pipe:0"]
