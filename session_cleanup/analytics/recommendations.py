"""What to do about the figures of a month. Pure: the same figures give the same advice.

Each rule gives a title, why and what to do when its threshold, a setting, is crossed. Where a figure is
not known, or would be a share of nothing, it gives nothing.
"""

from collections.abc import Callable, Iterator

from session_cleanup.analytics.figures import Metrics, Recommendation
from session_cleanup.conf import conf

Advice = tuple[str, str, str]  # title, why, what to do
PRIORITIES = ("high", "medium", "low")


def recommendations(metrics: Metrics) -> list[Recommendation]:
    """What is recommended, the most urgent first."""
    found = [
        Recommendation(type=rule.__name__, priority=priority, title=title, why=why, what=what)
        for rule, priority in RULES.items()
        for title, why, what in rule(metrics)
    ]
    return sorted(found, key=lambda each: PRIORITIES.index(each["priority"]))


def utilisation(metrics: Metrics) -> Iterator[Advice]:
    share, usage = metrics["scores"]["utilisation"], metrics["usage"]
    if usage and _below(share, conf.RECOMMEND_UTILISATION_PERCENT):
        yield (
            "Few holders have an active session",
            f"{usage['active_holders']:,} of {usage['holders']:,} holders ({share:.0%}) have one; "
            f"{conf.RECOMMEND_UTILISATION_PERCENT}% is the least that is expected.",
            "Find out what keeps the others from it, or remove holders who are gone.",
        )


def health(metrics: Metrics) -> Iterator[Advice]:
    share, totals = metrics["scores"]["health"], metrics["sessions"]
    if totals and _below(share, conf.RECOMMEND_HEALTH_PERCENT):
        yield (
            "Many sessions are expired or invalid",
            f"{share:.0%} of {totals['total']:,} sessions are valid and not expired "
            f"({totals['expired']:,} expired, {totals['invalid']:,} invalid); "
            f"{conf.RECOMMEND_HEALTH_PERCENT}% is the least that is expected.",
            "Run cleanup_sessions browser, and look at what creates the invalid ones.",
        )


def expiring(metrics: Metrics) -> Iterator[Advice]:
    usage = metrics["usage"]
    if usage and usage["expiring_holders"] > conf.RECOMMEND_EXPIRING_HOLDERS:
        yield (
            "Holders are about to lose their sessions",
            f"All active sessions of {usage['expiring_holders']:,} holders expire within 7 days.",
            "Have them log in again before, or raise SESSION_CLEANUP_EXPIRY_DAYS.",
        )


def uncompressed(metrics: Metrics) -> Iterator[Advice]:
    plain = metrics["performance"]["old_plain"]
    if plain is not None and plain > conf.RECOMMEND_UNCOMPRESSED:
        yield (
            "Old sessions are not compressed",
            f"{plain:,} payloads are older than {conf.COMPRESS_DAYS} days and not compressed.",
            "Run cleanup_sessions --type weekly, and see that its timer is on.",
        )


def unused(metrics: Metrics) -> Iterator[Advice]:
    share, totals = metrics["scores"]["used"], metrics["sessions"]
    if totals and _below(share, conf.RECOMMEND_USED_PERCENT):
        yield (
            "Most active sessions are not used",
            f"{share:.0%} of {totals['active']:,} active sessions were used in the last 7 days; "
            f"{conf.RECOMMEND_USED_PERCENT}% is the least that is expected.",
            "Make a workflow of it: each week, use or end those of the holders with most unused sessions.",
        )


def invalid(metrics: Metrics) -> Iterator[Advice]:
    totals = metrics["sessions"]
    if totals and totals["invalid"] > conf.RECOMMEND_INVALID:
        yield (
            "Invalid payloads were found",
            f"The payloads of {totals['invalid']:,} sessions are not what a browser session looks like.",
            "Look at what writes them; cleanup_sessions browser-invalid deletes them.",
        )


def falling_behind(metrics: Metrics) -> Iterator[Advice]:
    found = metrics["cleanup"]
    if not found or not found["intake"]:
        return
    intake, drain, backlog = found["intake"], found["drain"], found["backlog"]
    if backlog <= conf.RECOMMEND_BACKLOG_DAYS * intake or drain >= intake:
        return
    if found["suggested"] is None:
        what = "Turn the preset browser on, and give browser-expired a timer."
    elif found["runs"] < found["expected"] / 2:
        what = (
            f"browser-expired ran {found['runs']} times of {found['expected']}: see that its timer is on "
            f"(schedule {found['schedule']}) and that its runs do not fail."
        )
    else:
        what = (
            f'Run it more often: SESSION_CLEANUP_SCHEDULES = {{"browser-expired": "{found["suggested"]}"}}.'
        )
    yield (
        "Cleanup is falling behind",
        f"{intake:,.0f} sessions a day come in and {drain:,.0f} go; {backlog:,} are overdue.",
        what,
    )


def index(metrics: Metrics) -> Iterator[Advice]:
    totals, measured = metrics["sessions"], metrics["performance"]
    if not totals or totals["total"] < conf.RECOMMEND_INDEX_SESSIONS:
        return
    idle = {each["name"] for each in measured["indexes"] if not each["scans"]}
    for query in measured["queries"]:
        job, name = query["job"], query["index"]
        if name is None or name in idle:
            yield (
                f"No index serves {job}" if name is None else f"The index of {job} is not used",
                f"Each run of {job} reads all {totals['total']:,} sessions."
                if name is None
                else f"PostgreSQL has not used {name} since its statistics began.",
                f"cleanup_doctor {job} says what is wrong, and how to mend it.",
            )


def compression(metrics: Metrics) -> Iterator[Advice]:
    share = metrics["performance"]["packed_ratio"]
    if share is not None and share * 100 > conf.RECOMMEND_STORAGE_PERCENT:
        yield (
            "Compression gains little",
            f"Compressed payloads take {share:.0%} of their decoded size; "
            f"{conf.RECOMMEND_STORAGE_PERCENT}% is the most that is expected.",
            "Train a new dictionary on them, or look at what random data they hold.",
        )


def unusual_day(metrics: Metrics) -> Iterator[Advice]:
    usage = metrics["usage"]
    for day in usage["anomalies"] if usage else []:
        yield (
            f"{day['day']} was unusual",
            f"{day['created']:,} sessions were created; usual are {day['low']:,.0f} to {day['high']:,.0f}.",
            "Find out what happened on that day: a campaign, an import, an attack, an outage.",
        )


def _below(share: float | None, percent: int) -> bool:
    return share is not None and share * 100 < percent


RULES: dict[Callable[[Metrics], Iterator[Advice]], str] = {
    utilisation: "medium",
    health: "high",
    expiring: "medium",
    uncompressed: "low",
    unused: "medium",
    invalid: "high",
    falling_behind: "high",
    index: "medium",
    compression: "low",
    unusual_day: "medium",
}
