"""What Kubernetes, GitHub Actions, Vercel and Celery are given says what the settings say."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from django.core.management import load_command_class
from django.test import Client
from django.urls import resolve
from hypothesis import assume, given
from hypothesis import settings as trying

from session_cleanup.exceptions import ConfigurationError, SessionCleanupError
from session_cleanup.models import CleanupRun
from session_cleanup.policies.cron import next_times, parse
from session_cleanup.policies.policy import GROUPS
from session_cleanup.scheduling import deploy
from session_cleanup.scheduling.functions import NAMES
from session_cleanup.scheduling.platforms import celery_times, object_name
from session_cleanup.scheduling.schedules import timers
from session_cleanup.web import views
from tests.factories import SessionFactory
from tests.scheduling.examples import BASE, deployment, jobs, render
from tests.scheduling.test_cron import accepted, spoken

LONG = "a-job-with-a-name-that-goes-on-and-on-until-it-is-far-too-long"
MIXED = {
    "0 4 * * *": jobs("close", "declines"),
    "*/5 * * * *": jobs("often"),
    "0 3 * * SUN": jobs(LONG),
    "5/15 1-3 1 * *": jobs("odd"),
}
EITHER = {"0 0 13 * 5": jobs("unlucky")}  # the 13th OR a Friday


def schedules(timers):
    """Job to its next times."""
    return {job.name: next_times(cron, BASE, 20) for cron, several in timers.items() for job in several}


def commands_read(words, name):
    """The jobs that the command is given, read as the command reads them."""
    parser = load_command_class("session_cleanup", name).create_parser("manage.py", name)
    return vars(parser.parse_args(words))


def test_every_target_shows_the_hours_of_the_settings(settings):
    """One place says them: each target is read back, with the presets and an hour of the project's own."""
    settings.SESSION_CLEANUP_SCHEDULES = {"browser-excess": "7 1 * * 3"}
    schedule = timers()
    expected = schedules(schedule)
    assert expected["browser-excess"] == next_times("7 1 * * 3", BASE, 20)

    for read in (of_kubernetes, of_github, of_vercel, of_pg_cron, of_celery):
        assert read(schedule) == expected, read.__name__


# Kubernetes.


def cronjobs(timers=MIXED, **values):
    return list(yaml.safe_load_all(render("kubernetes", timers=timers, **values)["kubernetes/cronjobs.yaml"]))


def of_kubernetes(timers):
    found = {}
    for cron in cronjobs(timers):
        python, manage, name, *words = container(cron)["command"]
        assert (python, manage) == ("python", "manage.py")
        assert cron["spec"]["timeZone"] == "Etc/UTC"
        for job in commands_read(words, name)["jobs"]:
            found[job] = next_times(cron["spec"]["schedule"], BASE, 20)
    return found


def container(cron):
    [one] = cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    return one


def test_cronjobs_are_valid_to_the_letter_of_the_schema():
    for version in ("1.27", kubernetes_validate.latest_version()):
        for cron in cronjobs(image="registry.example.com:5000/shop@sha256:0a1b"):
            kubernetes_validate.validate(cron, version, strict=True)
        deployed = yaml.safe_load(render("kubernetes")["kubernetes/scheduler.yaml"])
        kubernetes_validate.validate(deployed, version, strict=True)


def test_a_cronjob_never_runs_twice_at_once_and_never_again_by_itself():
    for cron, timer in zip(cronjobs(), MIXED, strict=True):
        spec = cron["spec"]
        assert spec["concurrencyPolicy"] == "Forbid"
        assert spec["jobTemplate"]["spec"]["backoffLimit"] == 0
        assert spec["jobTemplate"]["spec"]["template"]["spec"]["restartPolicy"] == "Never"
        assert spec["successfulJobsHistoryLimit"] == spec["failedJobsHistoryLimit"] == 3
        first, second = next_times(timer, BASE, 2)
        gap = (second - first).total_seconds()
        assert spec["startingDeadlineSeconds"] <= spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] <= gap


def test_names_of_objects_are_short_enough_and_differ():
    names = [object_name(name) for name in ("carts", LONG, f"{LONG[:-1]}x", "a" * 64)]

    assert names[0] == "cleanup-carts"
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,50}[a-z0-9])?", name) for name in names)


def test_the_command_of_the_scheduler_and_the_look_at_its_sign_of_life(tmp_path):
    [one] = yaml.safe_load(render("kubernetes")["kubernetes/scheduler.yaml"])["spec"]["template"]["spec"][
        "containers"
    ]
    _, _, name, *words = one["command"]
    path = commands_read(words, name)["liveness_file"]
    shell, option, script = one["livenessProbe"]["exec"]["command"]
    assert path in script

    alive = tmp_path / "alive"
    look = [shell, option, script.replace(path, str(alive))]
    assert subprocess.run(look, capture_output=True).returncode == 1
    alive.touch()
    assert subprocess.run(look).returncode == 0
    os.utime(alive, (1, 1))
    assert subprocess.run(look).returncode == 1


@pytest.mark.parametrize("image", ["", "an image", "a\nb", "Upper", '"', "$(x)"])
def test_what_is_no_image_is_refused(image):
    with pytest.raises(ConfigurationError, match="--image"):
        deployment(image=image)


# GitHub Actions.


def workflow(timers=MIXED):
    return yaml.safe_load(render("github", timers=timers)["github/cleanup-sessions.yml"])


def of_github(timers):
    said = workflow(timers)
    [step] = said["jobs"]["call"]["steps"]
    found = {}
    for entry in said[True]["schedule"]:  # YAML 1.1 takes "on" for a truth
        for url in called(step["run"], SCHEDULE=entry["cron"])[0]:
            match = resolve(url.removeprefix("https://shop.example"))
            assert match.func is views.cron
            found[match.kwargs["name"]] = next_times(entry["cron"], BASE, 20)
    return found


def called(script, fail="", **environment):
    """The addresses that the step calls, what it reads as curl's configuration, and its exit status."""
    program = (
        'curl() { echo "URL ${@: -1} $*" >&3; cat >&3; case "${@: -1}" in *$FAIL*) return 22;; esac; }\n'
    )
    read, write = os.pipe()
    done = subprocess.run(
        ["bash", "-e", "-c", f"exec 3>&{write}\n{program}{script}"],
        env={
            "PATH": "/usr/bin:/bin",
            "CLEANUP_URL": "https://shop.example",
            "CRON_SECRET": "correct-horse-battery",
            "FAIL": fail or "nothing-fails",
            "NAME": "",
            **environment,
        },
        pass_fds=[write],
        capture_output=True,
        text=True,
    )
    os.close(write)
    with open(read) as pipe:
        lines = pipe.read().splitlines()
    urls = [line.split()[1] for line in lines if line.startswith("URL ")]
    assert not any("correct-horse" in line for line in lines if line.startswith("URL "))  # the arguments
    return urls, [line for line in lines if not line.startswith("URL ")], done.returncode


def test_the_workflow_calls_each_job_with_the_secret_and_fails_when_one_does():
    [step] = workflow()["jobs"]["call"]["steps"]

    urls, headers, status = called(step["run"], SCHEDULE="0 4 * * *")
    assert [resolve(url.removeprefix("https://shop.example")).kwargs for url in urls] == [
        {"name": "close"},
        {"name": "declines"},
    ]
    assert set(headers) == {'header = "Authorization: Bearer correct-horse-battery"'}
    assert status == 0

    urls, _, status = called(step["run"], SCHEDULE="0 4 * * *", fail="close")
    assert (len(urls), status) == (2, 1)


def test_the_workflow_by_hand_calls_what_it_is_told():
    [step] = workflow()["jobs"]["call"]["steps"]

    assert called(step["run"], SCHEDULE="", NAME="weekly")[0] == ["https://shop.example/cleanup/cron/weekly/"]


def test_its_environment_is_all_that_the_step_needs():
    [step] = workflow()["jobs"]["call"]["steps"]

    assert {name: value for name, value in step["env"].items() if "{{" in value} == step["env"]
    assert set(re.findall(r"\$([A-Z_]+)", step["run"])) <= set(step["env"])
    assert "${{" not in step["run"]  # nothing is put into the script itself


def test_github_starts_nothing_more_often_than_every_5_minutes():
    with pytest.raises(ConfigurationError, match="GitHub Actions"):
        render("github", timers={"*/4 * * * *": jobs("a")})


# Vercel.


def of_vercel(timers):
    config = json.loads(render("vercel", timers=timers)["vercel/vercel.json"])
    found = {}
    for entry in config["crons"]:
        match = resolve(entry["path"])
        assert match.func is views.cron
        found[match.kwargs["name"]] = next_times(entry["schedule"], BASE, 20)
    return found


def test_vercel_is_refused_what_it_does_not_know():
    with pytest.raises(ConfigurationError, match="day of the week"):
        render("vercel", timers=EITHER)


def test_a_call_of_vercel_runs_the_job(db, settings):
    settings.SESSION_CLEANUP_CRON_SECRETS = ["correct-horse-battery"]
    settings.SESSION_CLEANUP_CRON_ALLOW_GET = True
    [entry, *_] = json.loads(render("vercel", timers=timers())["vercel/vercel.json"])["crons"]

    response = Client().get(entry["path"], HTTP_AUTHORIZATION="Bearer correct-horse-battery")

    assert response.json()["success"]


def test_that_vercel_can_only_get_is_said(settings):
    assert "ALLOW_GET" in deploy.warnings("vercel", deployment())[0]

    settings.SESSION_CLEANUP_CRON_ALLOW_GET = True
    assert deploy.warnings("vercel", deployment()) == []


@pytest.mark.parametrize("target", ["vercel", "github"])
def test_an_endpoint_without_an_address_is_refused(target, settings):
    settings.ROOT_URLCONF = "tests.scheduling.examples"  # which has none
    import tests.scheduling.examples as nothing

    nothing.urlpatterns = []
    try:
        with pytest.raises(ConfigurationError, match=r'include\("session_cleanup.urls"\)'):
            render(target)
    finally:
        del nothing.urlpatterns


# pg_cron.


def of_pg_cron(timers):
    text = render("pg_cron", timers=timers)["pg_cron/cleanup-sessions.sql"]
    said = re.findall(r"^SELECT cron.schedule\('session-cleanup (\S+)', '([^']+)', (.*)\);$", text, re.M)
    for job, _, command in said:
        call = f"format('SELECT %I.{NAMES.get(job)}()', current_schema())"
        assert command == (call if job in NAMES else f"$$NOTIFY session_cleanup, '{job}'$$")
    return {job: next_times(cron, BASE, 20) for job, cron, _ in said}


# Celery.


def rendered_schedule(timers, tmp_path):
    path = tmp_path / "cleanup_schedule.py"
    path.write_text(render("celery", timers=timers)["celery/cleanup_schedule.py"])
    spec = importlib.util.spec_from_file_location("cleanup_schedule", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def of_celery(timers):
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        entries = rendered_schedule(timers, Path(directory)).CELERY_BEAT_SCHEDULE
    return {
        job: celery_next(entry["schedule"], BASE, 20) for entry in entries.values() for job in entry["args"]
    }


def celery_next(schedule, after, count):
    """The next times by Celery's own reckoning."""
    found = []
    at = after
    while len(found) < count:
        schedule.nowfun = lambda at=at: at
        left = schedule.remaining_estimate(at)
        at = (at + left).replace(microsecond=0)
        found.append(at)
    return found


@pytest.mark.parametrize("cron", [*GROUPS.values(), "0 */6 * * *", "5/15 1-3 1 * *", "30 5 * * MON-FRI"])
def test_celery_counts_the_same_times(cron):
    from celery.schedules import crontab

    [(_, said)] = celery_times(cron, "x")
    schedule = eval(f"crontab({said})", {"crontab": crontab})

    assert celery_next(schedule, BASE, 8) == next_times(cron, BASE, 8)


def test_one_day_or_the_other_are_two_entries_of_celery(tmp_path):
    entries = rendered_schedule(EITHER, tmp_path).CELERY_BEAT_SCHEDULE

    times = sorted({at for entry in entries.values() for at in celery_next(entry["schedule"], BASE, 12)})
    assert list(entries) == ["cleanup-unlucky-by-date", "cleanup-unlucky-by-weekday"]
    assert times[:10] == next_times("0 0 13 * 5", BASE, 10)


@trying(max_examples=60, deadline=None, derandomize=True)
@given(spoken())
def test_celery_understands_whatever_cron_can_say(cron):
    from celery.schedules import crontab

    assume(accepted(cron))
    found = [eval(f"crontab({said})", {"crontab": crontab}) for _, said in celery_times(cron, "x")]
    parsed = parse(cron)

    assert [found[0].minute, found[0].hour] == [set(parsed.minutes), set(parsed.hours)]
    assert found[0].month_of_year == set(parsed.months)
    assert set(parsed.days) in [each.day_of_month for each in found]
    assert set(parsed.weekdays) in [each.day_of_week for each in found]


def test_the_task_that_beat_names_runs_the_jobs(tmp_path, db):
    from session_cleanup.integrations.celery import run

    module = rendered_schedule(timers(), tmp_path)
    assert {entry["task"] for entry in module.CELERY_BEAT_SCHEDULE.values()} == {run.name}
    assert [run.__module__] == module.CELERY_IMPORTS
    SessionFactory(kind="collaborative", expires_at=datetime.now(UTC) - timedelta(days=7))

    said = run.apply(args=["collaborative-expired"]).get()

    assert said["jobs"][0]["changed"] == 1
    assert CleanupRun.objects.get().trigger == "celery"


def test_a_task_whose_job_failed_has_failed(db, monkeypatch):
    from session_cleanup.integrations.celery import run

    def fail(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr("session_cleanup.engine.execution.Lease.take", fail)
    with pytest.raises(SessionCleanupError, match="collaborative-expired"):
        run.apply(args=["collaborative-expired"], throw=True)


def test_without_celery_the_module_says_what_to_install():
    program = (
        "import sys; sys.modules['celery'] = None\n"
        "import django; django.setup()\n"
        "import session_cleanup.integrations.celery"
    )
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)

    assert "pip install 'session-cleanup[celery]'" in done.stderr.splitlines()[-1]
