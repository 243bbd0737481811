"""How `gunicorn wsgi:app` runs the site. Options on the command line win over this file."""
import os
import sys

from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.glogging import Logger

from petsong import database, logs
from petsong.migrate import MigrationsPending, require_migrated
from petsong.settings import SettingsError, load_settings

try:
    settings = load_settings()
except SettingsError as error:
    sys.exit(f"{error}")  # gunicorn would print a traceback; SystemExit gets past it

# Not [::]: on a socket for both families IPv4 visitors arrive as ::ffff:a.b.c.d, and limits per address see one network.
# Where only IPv6 leads here: gunicorn --bind "[::]:$PORT" wsgi:app
bind = f"0.0.0.0:{settings.port}"
workers = settings.web_concurrency
worker_class = "gthread"
threads = 8
timeout = 60
graceful_timeout = 20
max_requests = 2000
max_requests_jitter = 200

# Workers give signs of life through files: on a slow disk they would be taken for dead.
if os.access("/dev/shm", os.W_OK):  # noqa: S108
    worker_tmp_dir = "/dev/shm"  # noqa: S108

control_socket_disable = True

# Nobody's forwarding headers count here. TRUSTED_PROXIES alone decides, inside the app: two judges with different rules
# would let a client on this machine call its request https, or choose its path by SCRIPT_NAME.
forwarded_allow_ips = ""

# The app logs every request itself, with webhook tokens masked, which gunicorn's own access log would show.
accesslog = None
loglevel = settings.log_level.lower()
logs.configure(settings.log_level, settings.log_format)


class OneLog(Logger):  # type: ignore[misc]
    """gunicorn's own lines in the app's format, so that a log is JSON from its first line on."""

    def setup(self, cfg: Config) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


logger_class = OneLog


def on_starting(server: Arbiter) -> None:
    """Once, before any worker: what would keep each of them from starting ends gunicorn with one line."""
    database.connect_to(settings.database_url)
    try:
        with database.connection():
            require_migrated(database.db.obj)
    except (MigrationsPending, database.DatabaseLost) as error:
        sys.exit(f"{error}")
