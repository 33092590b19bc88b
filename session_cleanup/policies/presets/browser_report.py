"""The monthly report of the browser sessions."""

from session_cleanup.policies.job import Routine


def routines() -> list[Routine]:
    return [
        Routine(
            name="browser-report",
            model="session_cleanup.SessionReport",
            verb="stored",
            work="session_cleanup.analytics.report.BrowserReport",
            group="monthly",
            cron="0 4 1 * *",
            preset="browser",
        )
    ]
