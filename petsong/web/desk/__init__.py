"""The operator's desk: pages below /admin, the same below /api/admin; one blueprint a file, the login in guard.py."""
from flask import Flask

from petsong.web.desk import campaign, changes, credits, export, jobs_dashboard, outbox, overview, queue_status, submissions

MODULES = (campaign, changes, credits, export, jobs_dashboard, outbox, overview, queue_status, submissions)


def register(app: Flask) -> None:
    """Each module's `blueprints`: its pages, its part of the API."""
    for module in MODULES:
        for blueprint in module.blueprints:
            app.register_blueprint(blueprint)
