"""Figures over time as bars: everything that an SVG in a template needs, with words for those who don't see it."""
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from petsong.overview import Period

WIDTH, HEIGHT = 320, 96
BASE, TOP = 80, 6  # y of the zero line and of the highest value


@dataclass(frozen=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    kind: str  # succeeded, failed


@dataclass(frozen=True)
class Chart:
    id: str
    title: str
    description: str
    bars: tuple[Bar, ...]
    line: str  # points of the arrivals, as steps
    most: int  # the value at the top
    begins: str
    rows: tuple[tuple[str, int, int, int], ...]  # (time, arrived, succeeded, failed), newest first


def flow_chart(period: Period) -> Chart:
    """Bars: songs that ended, failures on top of successes. A line: songs that came."""
    parts = len(period.arrived)
    step = WIDTH / parts
    most = max(1, *period.arrived, *(done + failed for done, failed in zip(period.succeeded, period.failed, strict=True)))
    scale = (BASE - TOP) / most
    bars: list[Bar] = []
    for place, (done, failed) in enumerate(zip(period.succeeded, period.failed, strict=True)):
        x, width = round((place + 0.15) * step, 1), round(step * 0.7, 1)
        for kind, below, value in (("succeeded", 0, done), ("failed", done, failed)):
            if value:
                bars.append(Bar(x, round(BASE - (below + value) * scale, 1), width, round(value * scale, 1), kind))
    began = [period.ends.astimezone(UTC) - timedelta(seconds=period.part_seconds * (parts - place)) for place in range(parts)]
    sums = tuple(sum(values) for values in (period.arrived, period.succeeded, period.failed))
    return Chart(
        id=f"flow-{parts}", title=f"Songs over {period.name}",
        description=f"{sums[0]} came, {sums[1]} succeeded, {sums[2]} failed. The busiest part of {_length(period)} has {most}.",
        bars=tuple(bars), line=_steps(period.arrived, step, scale), most=most, begins=_label(began[0], period),
        rows=tuple(
            (_label(began[place], period), period.arrived[place], period.succeeded[place], period.failed[place])
            for place in reversed(range(parts))
        ),
    )


def _steps(values: tuple[int, ...], step: float, scale: float) -> str:
    points = []
    for place, value in enumerate(values):
        y = round(BASE - value * scale, 1)
        points += [f"{round(place * step, 1)},{y}", f"{round((place + 1) * step, 1)},{y}"]
    return " ".join(points)


def _length(period: Period) -> str:
    minutes = period.part_seconds // 60
    return f"{minutes} minutes" if minutes < 60 else "1 hour" if minutes == 60 else f"{minutes // 60} hours"


def _label(began: datetime, period: Period) -> str:
    return f"{began:%d %b %H:%M}" if period.part_seconds > 3600 else f"{began:%H:%M}"


@dataclass(frozen=True)
class BalanceChart:
    title: str
    description: str
    line: str
    highest: int
    lowest: int


def balance_chart(points: list[tuple[datetime, int]], begins: datetime, ends: datetime) -> BalanceChart | None:
    """The balance as a line; None where there are too few readings."""
    if len(points) < 2:
        return None
    values = [usable for _, usable in points]
    highest, lowest = max(values), min(values)
    scale, length = (BASE - TOP) / max(1, highest - lowest), (ends - begins).total_seconds()
    line = " ".join(
        f"{round(WIDTH * (at - begins).total_seconds() / length, 1)},{round(BASE - (usable - lowest) * scale, 1)}"
        for at, usable in points
    )
    description = f"From {values[0]:,} to {values[-1]:,} credits; highest {highest:,}, lowest {lowest:,}."
    return BalanceChart("Balance over 7 d", description, line, highest, lowest)
