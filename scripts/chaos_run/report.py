"""One JSON line for programs, the findings in words for people."""
import statistics
from typing import Any

from scripts.chaos_run.watch import Recoveries

SHOWN = 8  # findings of a kind


def summary(seed: int, minutes: float, findings: dict[str, list[str]], recoveries: Recoveries, **more: Any) -> dict[str, Any]:
    """What scripts/chaos prints. `recovery_*`: see watch.Recoveries; null where no kill hit a row."""
    seconds = [value for _, value in recoveries.seconds]
    return {
        "seed": seed, "minutes": minutes, **more,
        "violations": {name: len(found) for name, found in findings.items()},
        "recovery_median_s": _rounded(statistics.median(seconds)) if seconds else None,
        "recovery_max_s": _rounded(max(seconds)) if seconds else None,
        "recoveries": len(seconds),
        "unknown_orders_waited_max_s": _rounded(max(recoveries.waits, default=None)),
        "site_back_max_s": _rounded(max(recoveries.site, default=None)),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def in_words(findings: dict[str, list[str]]) -> list[str]:
    lines = []
    for name, found in findings.items():
        lines += [f"{name}: {one}" for one in found[:SHOWN]]
        if len(found) > SHOWN:
            lines.append(f"{name}: … {len(found)} in all")
    return lines
