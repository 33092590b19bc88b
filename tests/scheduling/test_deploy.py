"""What all rendered files have in common, and how they are written."""

import re

import pytest

from session_cleanup.exceptions import ConfigurationError
from session_cleanup.policies.cron import next_times
from session_cleanup.scheduling import deploy
from session_cleanup.scheduling.schedules import timers
from tests.scheduling.examples import (
    BASE,
    crontab_lines,
    jobs,
    needs_systemd,
    render,
    systemd_times,
)


@needs_systemd
def test_cron_and_timer_name_the_same_hours(settings):
    settings.SESSION_CLEANUP_PRESETS = ["presentations", "collaborative", "after_hours"]
    settings.SESSION_CLEANUP_SCHEDULES = {"after-hours-close": "0 0 13 * 5"}
    schedule = timers()

    files = render("systemd", timers=schedule)
    units = [text for name, text in files.items() if name.endswith(".timer")]
    lines = crontab_lines(timers=schedule)

    assert len(units) == len(lines) == len(schedule) == 5
    for unit, line in zip(units, lines, strict=True):
        calendar = re.findall(r"^OnCalendar=(.*)$", unit, re.MULTILINE)
        expected = next_times(" ".join(line.split()[:5]), BASE, 20)
        assert systemd_times(calendar, 20) == expected


def test_no_template_asks_for_a_value_that_is_not_there():
    for target in deploy.TARGETS:
        for name, text in render(target, on_failure="/bin/tell").items():
            assert text.endswith("\n"), name
            assert not re.search(r"no value|&#|&amp;|None", text), name


def test_other_texts_are_not_overwritten_unless_forced(tmp_path):
    deploy.write({"a": "1", "b": "1"}, tmp_path, force=False)
    deploy.write({"a": "1", "b": "1"}, tmp_path, force=False)  # the same again: nothing is lost

    with pytest.raises(ConfigurationError, match=r"other texts of b\. Nothing was written"):
        deploy.write({"c": "2", "b": "2"}, tmp_path, force=False)
    assert not (tmp_path / "c").exists()

    deploy.write({"b": "2"}, tmp_path, force=True)
    assert (tmp_path / "b").read_text() == "2"


def test_a_timer_of_an_earlier_rendering_is_named(tmp_path):
    deploy.write(render("systemd"), tmp_path, force=False)

    left = deploy.write(render("systemd", timers={"*/5 * * * *": jobs("often")}), tmp_path, force=True)

    assert left == ["cleanup-sessions@close.timer"]


def test_a_directory_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(ConfigurationError, match="Give another directory"):
        deploy.write({"a": "1"}, tmp_path / "file", force=False)
