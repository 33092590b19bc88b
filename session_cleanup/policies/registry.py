"""The jobs of this project: those of its presets, its own, then our housekeeping, in this order."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from importlib import import_module

from django.apps import apps
from django.utils.module_loading import module_has_submodule

from session_cleanup.conf import conf
from session_cleanup.exceptions import ConfigurationError, PolicyError
from session_cleanup.policies.job import Job
from session_cleanup.policies.policy import GROUPS, Policy
from session_cleanup.policies.presets import HOUSEKEEPING, LIBRARIES, PRESETS

MODULE = "cleanup_policies"
OUT_OF_EVERY_RUN = {"weekly", "monthly"}  # groups that run only when they are asked for

# Preset names, and what the history calls a restore: no job's name.
RESERVED = {*PRESETS, "restore"}

_registered: list[Policy] = []
# Modules that could not be imported, and why. While there is one, no run starts.
failures: dict[str, Exception] = {}


def register(*policies: Policy) -> None:
    """Add policies of this project. Call it in a module named cleanup_policies of an installed app."""
    for policy in policies:
        if not isinstance(policy, Policy):
            raise PolicyError(f"register() was given {policy!r}. Give it Policy objects.")
        _registered.append(policy)


def autodiscover() -> None:
    """Import `cleanup_policies` of every installed app.

    A module that raises must not take the whole site down: it is remembered, reported by the system
    checks, and every run is refused until it is mended.
    """
    for app in apps.get_app_configs():
        if not module_has_submodule(app.module, MODULE):
            continue
        try:
            import_module(f"{app.name}.{MODULE}")
        except Exception as error:  # reported by problems()
            failures[f"{app.name}.{MODULE}"] = error


def jobs() -> list[Job]:
    """Every job in its order. Raises ConfigurationError when one cannot be trusted."""
    for module, error in failures.items():
        raise ConfigurationError(
            f"{module} could not be imported ({type(error).__name__}: {error}), so no job runs. "
            "Mend that module."
        ) from error
    found = declared()
    for problem in naming_problems(found):
        raise ConfigurationError(problem)
    return found


def declared() -> list[Job]:
    """Every job that could be declared, whether or not the whole can be trusted."""
    shipped = [job for name in conf.PRESETS for job in preset(name)]
    return [*shipped, *_registered, *HOUSEKEEPING()]


def policies_among(jobs: Iterable[Job]) -> list[Policy]:
    return [job for job in jobs if isinstance(job, Policy)]


def preset(name: str) -> Sequence[Job]:
    """The jobs of a preset. Raises ConfigurationError when there is none, or its library is not here."""
    if name not in PRESETS:
        raise ConfigurationError(
            f"SESSION_CLEANUP_PRESETS names {name!r}, which is no preset.{did_you_mean(name, PRESETS)}"
        )
    if name not in LIBRARIES:
        return PRESETS[name]()
    app = LIBRARIES[name].app
    if not apps.is_installed(app):
        raise ConfigurationError(
            f"SESSION_CLEANUP_PRESETS names {name!r}, but {app!r} is not in INSTALLED_APPS. Add it there, or "
            "take the preset out."
        )
    try:
        return PRESETS[name]()
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"The preset {name!r} does not fit the installed release of {app} ({error}). Install a newer "
            "one, or take the preset out of SESSION_CLEANUP_PRESETS."
        ) from error


def naming_problems(jobs: Iterable[Job]) -> list[str]:
    """Names that mean two things: jobs, presets and groups share one namespace."""
    problems = []
    seen: set[str] = set()
    for job in jobs:
        if job.name in seen:
            problems.append(f"Two jobs are named {job.name!r}. Rename one of them.")
        if job.name in GROUPS or job.name in RESERVED:
            kind = "group" if job.name in GROUPS else "preset"
            problems.append(f"A job is named {job.name!r}, which is a {kind}. Rename it.")
        seen.add(job.name)
    return problems


def select(names: Iterable[str] = (), group: str | None = None) -> list[Job]:
    """The jobs of one run, in their order: by job or preset name, by group, or all that run by default."""
    everything = jobs()
    if names:
        wanted = set(names)
        known = {job.name for job in everything} | {job.preset for job in everything if job.preset}
        for name in sorted(wanted - known):
            raise ConfigurationError(_unknown_job(name, sorted(known)))
        return [job for job in everything if job.name in wanted or job.preset in wanted]
    if group is not None:
        if group not in GROUPS:
            raise ConfigurationError(
                f"There is no group {group!r}.{did_you_mean(group, GROUPS)} "
                f"The groups are {', '.join(GROUPS)}."
            )
        chosen = [job for job in everything if job.group == group]
        if not chosen:
            raise ConfigurationError(f"No job is in the group {group!r}. See cleanup_sessions --list.")
        return chosen
    if len(everything) == len(HOUSEKEEPING()):
        raise ConfigurationError(
            "No job is registered. Name shipped systems in SESSION_CLEANUP_PRESETS, or write a policy "
            f"in a module {MODULE} of one of your apps."
        )
    return [job for job in everything if job.group not in OUT_OF_EVERY_RUN]


def named(name: str) -> list[Job]:
    """The jobs that one word means, be it a job, a preset or a group; none if it is none of them."""
    return [job for job in jobs() if name in (job.name, job.preset, job.group)]


def _unknown_job(name: str, known: list[str]) -> str:
    if name in GROUPS:
        return f"{name!r} is a group, not a job. Say --type {name}."
    if name in PRESETS:
        return f"The preset {name!r} is off. Name it in SESSION_CLEANUP_PRESETS."
    return f"There is no job {name!r}.{did_you_mean(name, known)} See cleanup_sessions --list."


def did_you_mean(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
