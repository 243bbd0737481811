"""`flask --app wsgi doctor`: what operators get wrong, one line each; exit code 1 where there is a problem."""
import json
from dataclasses import asdict

import click
from flask.cli import with_appcontext

from petsong import database
from petsong.doctor import Finding, examine
from petsong.web.extension import parts


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line.")
@with_appcontext
def doctor(as_json: bool) -> None:
    """Check what this installation needs, and say what to do about it."""
    with database.connection():
        findings = examine(parts().settings, parts().queues)
    worst = next((state for state in ("problem", "warning") if any(f.state == state for f in findings)), "ok")
    if as_json:
        click.echo(json.dumps({"success": worst != "problem", "state": worst, "findings": [asdict(f) for f in findings]}))
    else:
        click.echo("\n".join(_line(finding) for finding in findings))
    if worst == "problem":
        raise SystemExit(1)


def _line(finding: Finding) -> str:
    return f"{finding.state:<8} {finding.check:<10} {finding.text}{f'. {finding.advice}' if finding.advice else ''}"
