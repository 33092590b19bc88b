"""What is wrong with the configuration, found without a database.

The system checks report all of it at start-up; a run refuses to start while there is an error.
"""

from collections.abc import Iterable, Iterator

from django.apps import apps
from django.conf import settings as django_settings

from session_cleanup.conf import PREFIX, SETTINGS, conf
from session_cleanup.exceptions import ConfigurationError
from session_cleanup.policies import registry
from session_cleanup.policies.fit import Problem, of_policy
from session_cleanup.policies.job import Job
from session_cleanup.policies.policy import GROUPS, cron_problem
from session_cleanup.policies.presets import KEPT, PRESETS
from session_cleanup.policies.registry import did_you_mean
from session_cleanup.policies.sealing import check_keys
from session_cleanup.policies.secrets import ATTRIBUTE, secret_problem


def refuse_errors() -> None:
    """Raise ConfigurationError for the first error there is."""
    for problem in problems():
        if problem.id.startswith("E"):
            raise ConfigurationError(str(problem))


def problems() -> Iterator[Problem]:
    """Everything that is wrong; where one thing hides others, only that thing."""
    found = list(_settings())
    yield from found
    if found:
        return
    for module, error in registry.failures.items():
        yield Problem(
            "E004",
            f"{module} could not be imported ({type(error).__name__}: {error}), so no job runs.",
            "Mend that module.",
        )
    jobs = registry.declared()
    for message in registry.naming_problems(jobs):
        yield Problem("E005", message, "Job, preset and group names share one namespace.")
    yield from _schedules(jobs)
    yield from _days(jobs)
    yield from _secrets()
    for policy in registry.policies_among(jobs):
        try:
            yield from of_policy(policy)
        except Exception as error:  # whatever a policy is made of, it must not take the checks down
            yield Problem("E010", f"Policy {policy.name!r} cannot be read: {error!r}.", "Correct the policy.")


def _settings() -> Iterator[Problem]:
    known = {setting.name: setting for setting in SETTINGS.values()}
    for name in dir(django_settings):
        if not name.startswith(PREFIX):
            continue
        if name not in known:
            yield Problem(
                "E002", f"There is no setting {name}.{did_you_mean(name, known)}", "Correct or remove it."
            )
        elif problem := known[name].problem(getattr(django_settings, name)):
            yield Problem("E001", problem, "Correct it, or remove it to take the default.")
            return
    for name in conf.PRESETS:
        try:
            registry.preset(name)
        except ConfigurationError as error:
            hint = f"The presets are {', '.join(PRESETS)}; those of libraries ask for their apps."
            yield Problem("E003", str(error), hint)
    try:
        check_keys()
    except ConfigurationError as error:
        yield Problem(
            "E021", str(error), "Until then no run starts, for its undo records could not be written."
        )
    if conf.STATEMENT_TIMEOUT_MS > conf.LEASE_SECONDS * 1000:
        yield Problem(
            "E001",
            f"SESSION_CLEANUP_STATEMENT_TIMEOUT_MS is {conf.STATEMENT_TIMEOUT_MS}, longer than "
            f"SESSION_CLEANUP_LEASE_SECONDS ({conf.LEASE_SECONDS}): a statement could outlast the lease.",
            "Lower the one, or raise the other.",
        )


def _schedules(jobs: Iterable[Job]) -> Iterator[Problem]:
    known = [*GROUPS, *(job.name for job in jobs)]
    for name, cron in conf.SCHEDULES.items():
        if name not in known:
            yield Problem(
                "E006",
                f"SESSION_CLEANUP_SCHEDULES names {name!r}, which is neither a job nor a group."
                f"{did_you_mean(name, known)}",
                "See cleanup_sessions --list.",
            )
        if problem := cron_problem(cron):
            yield Problem("E006", f"SESSION_CLEANUP_SCHEDULES[{name!r}]: {problem}", "Times are UTC.")
    names = known[len(GROUPS) :]
    for name in conf.ADAPTIVE:
        if name not in names:
            yield Problem(
                "E006",
                f"SESSION_CLEANUP_ADAPTIVE names {name!r}, which is no job.{did_you_mean(name, names)}",
                "See cleanup_sessions --list.",
            )


def _days(jobs: Iterable[Job]) -> Iterator[Problem]:
    known = [*KEPT, *(job.name for job in jobs if job.preset in KEPT)]
    for name in conf.KEEP_DAYS:
        if name not in known:
            yield Problem(
                "E015",
                f"SESSION_CLEANUP_KEEP_DAYS names {name!r}, whose rows are not kept for a number of days."
                f"{did_you_mean(name, known)}",
                f"It may name {', '.join(KEPT)}, and their jobs while they are on.",
            )


def _secrets() -> Iterator[Problem]:
    """What models declare; what policies do is looked at with them."""
    for model in apps.get_models():
        names = getattr(model, ATTRIBUTE, ())
        if not isinstance(names, list | tuple):
            names = (names,)
        for name in names:
            if problem := secret_problem(model, name):
                yield Problem("E022", f"{model._meta.label}.{ATTRIBUTE}: {problem}", "Correct the model.")
