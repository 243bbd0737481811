"""What a person means by a time: a day and an hour on the clocks of a zone, or an instant with its offset."""
import re
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

EXAMPLE = "2027-02-14T18:00"
SHAPE = re.compile(r"[0-9T:+.Z -]{8,40}")


class MomentError(ValueError):
    """One line for a person: what is wrong with the time or its zone, and what would be right."""


def parse_moment(text: str, zone: str) -> datetime:
    """The instant (UTC) of a local time such as 2027-02-14T18:00 on the clocks of `zone`; its own offset, such as Z, wins.

    Raises MomentError also for an hour that the clocks skip or show twice: nobody knows which instant was meant.
    """
    try:
        if not SHAPE.fullmatch(text.strip()):  # Python overlooks a NUL at the end
            raise ValueError
        given = datetime.fromisoformat(text.strip())
    except ValueError:
        raise MomentError(f"“{text[:40]}” is not a time. Right would be: {EXAMPLE}") from None
    if given.tzinfo is not None:
        return _in_range(given, text)
    local = given.replace(tzinfo=find_zone(zone))
    instants = {_in_range(local.replace(fold=fold), text) for fold in (0, 1)}
    meant = [instant for instant in instants if instant.astimezone(local.tzinfo).replace(tzinfo=None) == given]
    if not meant:
        raise MomentError(f"{text} does not exist in {zone}: the clocks skip it that day. Choose a time before or after.")
    if len(meant) > 1:
        either = " or ".join(str(instant.astimezone(local.tzinfo).isoformat()) for instant in sorted(meant))
        raise MomentError(f"{text} happens twice in {zone}, as the clocks are set back that day. Say which: {either}")
    return meant[0]


def _in_range(local: datetime, text: str) -> datetime:
    try:
        instant = local.astimezone(UTC)
    except OverflowError:
        raise MomentError(f"“{text[:40]}” is out of range. Right would be: {EXAMPLE}") from None
    if not 2000 <= instant.year <= 2200:
        raise MomentError(f"“{text[:40]}” lies too far away. Right would be: {EXAMPLE}")
    return instant


def find_zone(name: str) -> ZoneInfo:
    """Raises MomentError."""
    if name not in zone_names():
        raise MomentError(f"“{name[:40]}” is not a time zone. Right would be: Europe/Berlin, America/New_York or UTC")
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError) as error:
        raise MomentError(f"The data of the time zone {name} are missing on this machine; install tzdata.") from error


@lru_cache(maxsize=1)
def zone_names() -> tuple[str, ...]:
    """As people choose among them: Region/City, and UTC."""
    return ("UTC", *sorted(name for name in available_timezones() if "/" in name and not name.startswith("Etc/")))


def local_text(moment: datetime, zone: str) -> str:
    """On the clocks of that zone, as a form's field and `parse_moment` take it: 2027-02-14T18:00."""
    return moment.astimezone(find_zone(zone)).strftime("%Y-%m-%dT%H:%M")


def spoken(moment: datetime, zone: str) -> str:
    """14 February 2027, 18:00 (Europe/Berlin)"""
    local = moment.astimezone(find_zone(zone))
    return f"{local.day} {local:%B %Y, %H:%M} ({zone})"
