"""How a run went for each series, as far as a report shows it: of any number of series it keeps a few."""

from dataclasses import dataclass, field
from typing import Any

from session_cleanup.engine.report import sentence
from session_cleanup.exceptions import SeriesError
from session_cleanup.models import SessionSeries

SHOWN = 1000


@dataclass
class Tally:
    """Series come one after the other; each may come several times, in a row or when others are through."""

    series: dict[int, dict[str, Any]] = field(default_factory=dict)  # by primary key
    more: int = 0
    failed: int = 0
    complaint: str = ""
    last: int | None = None

    def created(self, series: SessionSeries, count: int) -> None:
        if not count:
            return
        if series.pk in self.series:
            self.series[series.pk]["created"] += count
        elif len(self.series) < SHOWN:
            self.series[series.pk] = {"series": series.name, "uid": str(series.uid), "created": count}
        elif series.pk != self.last:
            self.more += 1
        self.last = series.pk

    def fail(self, series: SessionSeries, problem: str) -> None:
        self.failed += 1
        self.complaint = self.complaint or f"The series {series.name!r} ({series.uid}): {problem}"

    def raise_failures(self) -> None:
        if self.failed:
            others = f" {self.failed - 1} more have a problem too." if self.failed > 1 else ""
            raise SeriesError(
                f"{self.complaint}{others} Mend each of them, or make it inactive. All other series were "
                "generated."
            )

    @property
    def shown(self) -> dict[str, Any]:
        """{"series": [{"series": name, "uid": …, "created": 3}, …], "more": series not listed}."""
        return {"series": list(self.series.values()), "more": self.more}


def problem_of(error: Exception) -> str:
    """An error in one line, as it is written into a series."""
    said = str(error).splitlines()
    return sentence(Exception(said[0])) if said else f"{type(error).__name__}."
