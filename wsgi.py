"""The web app for gunicorn and flask: `app`. What is wrong at the start is said in one line."""
import sys

from petsong.database import DatabaseLost
from petsong.migrate import MigrationsPending
from petsong.settings import SettingsError
from petsong.web import create_app

try:
    app = create_app()
except (SettingsError, MigrationsPending, DatabaseLost) as error:
    sys.exit(str(error))
