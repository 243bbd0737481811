"""What the stand-in can be told: by its command line, and again while it runs."""

from dataclasses import dataclass, fields

WEEK_SECONDS = 168 * 3600.0
TUNES = ("compose", "premade", "tone")


class SettingError(ValueError):
    """A setting is unknown or its value is wrong; the message names it and says what is right."""


@dataclass(frozen=True)
class Settings:
    """Times in seconds, fractions allowed; credits in the service's own unit."""

    generate_seconds: float = 20.0  # from acceptance to SUCCESS; 0 is at once
    song_seconds: float = 100.0  # length of a song; a composed one takes its own time, about 110
    align_seconds: float = 2.0  # from SUCCESS to word timing
    credits: int = 15000  # granted; the balance is what is left of them
    credits_payg: int = 0  # pay as you go: used once the granted ones are gone
    price: int = 100  # per song, given back on FAILURE
    slots: int = 10  # unfinished songs at once; one more is 429
    key: str = "sksonauto_sandbox"  # the only bearer token that is let in
    webhooks: bool = True  # False: what falls due now is never sent
    tune: str = "compose"  # a song for every order; or "premade": one per vibe; or "tone": a pitch of its own per order
    keep_seconds: float = WEEK_SECONDS  # songs are gone this long after SUCCESS
    seed: int = 1  # of what a fault's share hits


def _kinds() -> dict[str, type]:
    return {field.name: type(field.default) for field in fields(Settings)}


def checked(name: str, value: object) -> float | int | str | bool:
    """The value in the setting's own type. Raises SettingError for an unknown name or a value that does not fit."""
    kind = _kinds().get(name)
    if kind is None:
        raise SettingError(f"no setting {name!r}: there are {', '.join(_kinds())}")
    if name == "tune" and value not in TUNES:
        raise SettingError(f"tune is {value!r}: must be one of {', '.join(TUNES)}")
    if kind is bool or kind is str:
        if not isinstance(value, kind):
            raise SettingError(f"{name} is {value!r}: must be a {kind.__name__}")
        return value
    return _number(name, value, kind)


def _number(name: str, value: object, kind: type) -> float | int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SettingError(f"{name} is {value!r}: must be a number, such as 2")
    if not 0 <= value < 1e9 or (kind is int and value != int(value)):
        raise SettingError(f"{name} is {value!r}: must be a {'whole ' if kind is int else ''}number from 0 on")
    return int(value) if kind is int else float(value)
