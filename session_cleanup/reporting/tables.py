"""A report as tables: what every form of it shows. SECTIONS is the one list of what there is to see."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from session_cleanup.analytics.figures import Document


class Share(float):
    """A share, shown in percent."""


Cell = str | int | float | Share | None  # None: not known, or a share of nothing


@dataclass(frozen=True)
class Table:
    """The first column names the row. `chart`: the columns to draw over it; `note`: what stands below."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]
    chart: tuple[str, ...] = ()
    note: str = ""


WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def recommendations(report: Document) -> list[Table]:
    rows = [
        (each["title"], each["priority"], each["why"], each["what"]) for each in report["recommendations"]
    ]
    return [Table("Recommendations", ("recommendation", "priority", "why", "what to do"), rows)]


def summary(report: Document) -> list[Table]:
    metrics = report["metrics"]
    scores = [(name.replace("_", " "), _share(value)) for name, value in _pairs(metrics["scores"])]
    trend = [
        (each["figure"], each["now"], each["before"], _share(each["change"])) for each in metrics["trend"]
    ]
    return [
        Table("Scores", ("score", "value"), scores),
        Table("Sessions now", ("state", "sessions"), _pairs(metrics["sessions"] or {})),
        Table("Beside the month before", ("figure", "now", "before", "change"), trend),
    ]


def usage(report: Document) -> list[Table]:
    found = report["metrics"]["usage"]
    if found is None:
        return []
    days = [(each["day"], each["created"], each["accessed"], each["removed"]) for each in found["days"]]
    others = {
        "holders": found["holders"],
        "holders with an active session": found["active_holders"],
        "holders whose sessions expire within 7 days": found["expiring_holders"],
        "sessions that expire within 7 days": found["expiring_sessions"],
        "average age in days": found["average_age_days"],
    }
    columns = ("created", "accessed", "removed")
    return [
        Table("Usage", ("figure", "value"), list(others.items())),
        Table("Sessions by day", ("day", *columns), days, chart=columns),
        Table(
            "Created on a weekday, median",
            ("weekday", "sessions"),
            list(zip(WEEKDAYS, found["weekdays"], strict=True)),
            chart=("sessions",),
        ),
        Table("Unusual days", ("day", "created", "low", "high"), _rows(found["anomalies"])),
        Table(
            "Holders by type",
            ("holder type", "holders", "active", "sessions"),
            [(shown(str(kind)) or "(none)", *rest) for kind, *rest in _rows(found["holder_types"])],
        ),
        Table(
            "Most active sessions not used for 7 days",
            ("holder", "holder type", "sessions"),
            [
                (shown(each["holder"]), shown(each["holder_type"]), each["sessions"])
                for each in found["unused"]
            ],
        ),
    ]


def performance(report: Document) -> list[Table]:
    found = report["metrics"]["performance"]
    payloads: list[tuple[Cell, ...]] = [
        ("average payload, bytes", found["average_payload"]),
        ("old enough to be compressed, and not", found["old_plain"]),
        ("storage ratio of those that are", _share(found["packed_ratio"])),
    ]
    return [
        Table("Payloads", ("figure", "value"), payloads),
        Table(
            "Storage by state",
            ("state", "sessions", "stored bytes", "decoded bytes"),
            _rows(found["storage"]),
        ),
        Table("First step of each policy", ("job", "seconds", "index"), _rows(found["queries"])),
        Table("Indexes", ("index", "scans", "bytes"), _rows(found["indexes"])),
    ]


def cleanup(report: Document) -> list[Table]:
    found = report["metrics"]["cleanup"]
    if found is None:
        return []
    pace: dict[str, Cell] = {
        "created a day": found["intake"],
        "removed a day": found["drain"],
        "due now": found["backlog"],
        "caught up on": found["gone_on"],
        "runs of browser-expired": found["runs"],
        "runs that its schedule asks for": found["expected"],
        "schedule (UTC)": found["schedule"],
        "suggested schedule": found["suggested"],
    }
    due = [
        (each["day"], each["sessions"], "counted" if each["counted"] else "expected")
        for each in found["forecast"]
    ]
    return [
        Table("Intake and drain", ("figure", "value"), list(pace.items())),
        Table("Sessions that become due", ("day", "sessions", "how known"), due, chart=("sessions",)),
    ]


SECTIONS: dict[str, Callable[[Document], list[Table]]] = {
    "recommendations": recommendations,
    "summary": summary,
    "usage": usage,
    "performance": performance,
    "cleanup": cleanup,
}


def shown(text: str) -> str:
    """A text of somebody else's, in which a terminal sees no commands and a reader no hidden signs."""
    return "".join(sign if sign.isprintable() else f"\\u{ord(sign):04x}" for sign in text)


def _share(value: float | None) -> Share | None:
    return None if value is None else Share(value)


def _pairs(figures: Any) -> list[tuple[str, Any]]:
    """What a TypedDict holds: its items have one type for mypy, and others for us."""
    return list(figures.items())


def _rows(figures: Sequence[Any]) -> list[tuple[Cell, ...]]:
    return [tuple(each.values()) for each in figures]
