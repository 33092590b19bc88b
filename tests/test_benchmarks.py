"""The benchmarks on tiny data, so that they stay alive. What they measure here means nothing."""

import json
import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks import growth, results
from benchmarks.cases import CASES
from benchmarks.measure import NOBODY, Record, waited

# Looked for, not imported: it puts an outdated hook into the import system.
pytestmark = [
    pytest.mark.skipif(find_spec("pygal") is None, reason="needs the extra bench"),
    pytest.mark.once,  # it starts servers of its own
]
ROOT = Path(__file__).parent.parent
TIMEOUT = 280


def command(*arguments):
    return [sys.executable, "-m", "benchmarks", *map(str, arguments)]


def environment():
    """Without the database of the tests: the benchmarks start a server of their own."""
    hidden = {"DATABASE_URL", "DJANGO_SETTINGS_MODULE"}
    return {name: value for name, value in os.environ.items() if name not in hidden}


@pytest.fixture
def bench(tmp_path):
    def run(*arguments):
        """What a run prints, and the records that it wrote."""
        file = tmp_path / "runs.json"
        done = subprocess.run(
            command(*arguments, "--repeats", 1, "--json", file, "--svg", tmp_path),
            cwd=ROOT,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout, [Record(**each) for each in json.loads(file.read_text())["runs"]]

    return run


def assert_all_did_the_same_work(printed, records, names):
    assert list(results.remarks(records)) == []
    assert "All tools did the same work." in printed
    for name in names:
        measured = {record.tool for record in records if record.case == name and record.digest}
        assert measured == {"ours", "raw", *CASES[name].tools}


@pytest.mark.postgres
@pytest.mark.slow
def test_every_tool_on_postgres(bench, tmp_path):
    names = ["deactivate", "delete", "undo", "undo-cascade", "clearsessions", "cleartokens"]

    printed, records = bench("--rows", 300, "--cases", *names, "--passes", "throughput")

    assert_all_did_the_same_work(printed, records, names)
    for name in names:
        assert f"| {CASES[name].title} | ours | " in printed
    assert "delete 44 %: ratio" in printed
    assert "<svg" in (tmp_path / "throughput.svg").read_text()


@pytest.mark.postgres
@pytest.mark.slow
def test_waits_and_growth_on_postgres(bench, tmp_path):
    names = ["cascade", "members", "sparse"]
    printed, records = bench(
        *("--rows", 300, "--cases", *names, "growth", "--sizes", 30, 300),
        *("--passes", "waits", "--tools", "ours", "raw", "subquery"),
    )

    assert list(results.remarks(records)) == []
    for name in names:
        beside = {record.tool: record.waits for record in records if record.case == name and record.waits}
        assert set(beside) == {"ours", "raw", "subquery", NOBODY}
        assert all(waits["aimed"]["writes"] and waits["random"]["writes"] for waits in beside.values())
    assert "two children a row: worst wait, ms" in printed
    assert [each.rows for each in growth.sizes(records)] == [30, 300]
    assert "nothing due in 300 rows, vacuumed" in printed
    assert "<svg" in (tmp_path / "waits.svg").read_text()


@pytest.mark.postgres
@pytest.mark.slow
def test_generating_on_postgres(bench):
    printed, records = bench("--rows", 900, "--cases", "recurring")

    assert list(results.remarks(records)) == []
    assert records[0].notes["starts"] == records[0].notes["rows"] > 0
    assert printed.count("recurring: ") == 3


def test_every_case_is_run_by_one_of_these_tests():
    assert set(CASES) == {
        *("deactivate", "delete", "undo", "undo-cascade", "clearsessions", "cleartokens"),
        *("cascade", "members", "sparse"),
        "sqlite",
    }


@pytest.mark.slow
def test_every_tool_on_sqlite(bench, tmp_path):
    printed, records = bench("--rows", 300, "--cases", "sqlite")

    assert_all_did_the_same_work(printed, records, ["sqlite"])
    assert "SQLite: delete 50 % while another process writes: ratio" in printed
    assert "<svg" in (tmp_path / "waits.svg").read_text()


@pytest.mark.fault
@pytest.mark.postgres
@pytest.mark.slow
def test_an_interrupted_run_leaves_nothing_and_shows_what_it_has():
    child = subprocess.Popen(
        command("--rows", 300, "--cases", "delete"),
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in child.stderr:
        if "host=" in line:
            server = Path(line.strip().partition("host=")[2])
        if "throughput" in line:
            break
    assert server.is_dir()

    child.send_signal(signal.SIGTERM)
    printed, _ = child.communicate(timeout=60)

    assert child.returncode == 128 + signal.SIGTERM
    assert "| delete 44 % | " in printed
    assert not server.exists()


def record(tool, repeat=0, **values):
    return Record(case="delete", rows=10, measured="throughput", tool=tool, repeat=repeat, **values)


def test_a_ratio_is_of_the_same_repeat():
    records = [record("raw", 0, seconds=1.0), record("raw", 1, seconds=4.0), record("ours", 1, seconds=2.0)]

    assert results.ratios(records, "ours", "raw", "throughput").values == (2.0,)


def test_different_work_is_named():
    records = [record("raw", digest=["5"]), record("ours", digest=["5"]), record("queryset", digest=["6"])]

    (remark,) = results.remarks(records)

    assert remark == "delete of 10 rows: NOT the same work: ours, raw left 5; queryset left 6"


def test_a_tool_that_failed_is_named():
    (remark,) = results.remarks([record("db_purge", failed="dbpurge is not installed")])

    assert remark == "delete, throughput, db_purge: failed: dbpurge is not installed"


@pytest.mark.parametrize(("seconds", "said"), [(1.0, "met"), (1.1, "MISSED")])
def test_a_bar_stands_beside_its_figure(seconds, said):
    records = [record("raw", seconds=0.95), record("ours", seconds=seconds)]

    (verdict,) = results.verdicts(records)

    assert verdict.endswith(f"bar ≥ 0.95: {said}")


def test_a_write_counts_with_all_of_its_time_when_it_was_seen_to_wait_for_the_tool():
    seen = {
        "random": {"pid": 7, "writes": [[1.0, 0.5], [2.0, 0.9]]},
        "watch": {"waits": [[7, 1.2], [8, 2.1]], "gap": 0.01},
    }

    (found,) = waited(seen).values()

    assert found == {"writes": 2, "longest_ms": 900.0, "blocked": 1, "blocked_ms": 500.0}
