"""What jobs work with, made once in the worker's parent and inherited by every forked job."""
from dataclasses import dataclass
from functools import lru_cache

from petsong import database, logs, migrate
from petsong.campaigns.loader import Campaign, load_campaign
from petsong.queues import Queues, patient_client
from petsong.settings import Settings, load_settings
from petsong.sonauto import SongService
from petsong.storage import LocalStorage, Storage
from render.ffmpeg import find_ffmpeg
from render.spec import VideoSpec


@dataclass(frozen=True)
class Tools:
    settings: Settings
    queues: Queues
    storage: Storage
    service: SongService
    ffmpeg: str

    def campaign(self, name: str) -> Campaign:
        """Raises CampaignError; a row's campaign folder must stay for as long as its rows are on their way."""
        return load_campaign(name)

    def formats(self, campaign: Campaign) -> tuple[str, ...]:
        """Of which videos to make of each song; square comes first."""
        return self.settings.video_formats or campaign.video.formats

    def video_spec(self, campaign: Campaign, format: str = "square", caption: tuple[str, ...] = ()) -> VideoSpec:
        s = self.settings
        art = campaign.artwork
        folder = s.video_assets_dir
        return VideoSpec(
            background=folder / s.video_background if folder else art.background,
            record=folder / s.video_vinyl_template if folder else art.record,
            needle=folder / s.video_needle if folder else art.needle,
            size=s.video_resolution, fps=s.video_fps, rpm=s.vinyl_rpm, crf=s.video_crf, photo_size=s.pet_image_size,
            record_size=s.vinyl_size, audio_bitrate=s.audio_bitrate, loudness_lufs=s.loudness_lufs,
            true_peak_db=s.true_peak_db, format=format, caption=caption,
        )


@lru_cache(maxsize=1)
def tools() -> Tools:
    """Raises SettingsError, MigrationsPending, RenderError (no ffmpeg), each with the way out."""
    settings = load_settings()
    logs.configure(settings.log_level, settings.log_format)
    logs.report_errors(settings.sentry_dsn)
    made = database.connect_to(settings.database_url)
    migrate.require_migrated(made)
    return make_tools(settings)


def make_tools(settings: Settings) -> Tools:
    storage = LocalStorage({
        "uploads": settings.img_storage, "audio": settings.audio_storage, "video": settings.video_storage,
    })
    first_host = settings.song_hosts[0] if settings.song_hosts else ""
    service = SongService(
        settings.external_api_url, settings.sonauto_api_key, settings.api_request_timeout_seconds, song_host=first_host
    )
    return Tools(settings, Queues(patient_client(settings.redis_url)), storage, service, find_ffmpeg(settings.ffmpeg))
