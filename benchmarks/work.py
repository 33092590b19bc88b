"""One piece of work in a process of its own: `python -m benchmarks.work prepare|run …`; prints JSON."""

import json
import os
import resource
import sys
import time
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.settings")


def prepare(case: str, rows: str, layout: str) -> dict[str, Any]:
    from django.core.management import call_command
    from django.db import connection

    from benchmarks.cases import BY_NAME
    from benchmarks.tables import fill

    call_command("migrate", verbosity=0, run_syncdb=True)
    fill(connection, BY_NAME[case], int(rows), layout)
    return {}


def run(case: str, tool: str) -> dict[str, Any]:
    from django.db import connection

    from benchmarks.cases import BY_NAME
    from benchmarks.tools import TOOLS

    connection.ensure_connection()
    began = time.perf_counter()
    said = TOOLS[tool](BY_NAME[case])
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "peak_mb": peak_mb(), **(said or {})}


def peak_mb() -> float:
    """The most memory that this process ever had; Linux counts in kilobytes, macOS in bytes."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


if __name__ == "__main__":
    django.setup()
    what, *arguments = sys.argv[1:]
    print(json.dumps({"prepare": prepare, "run": run}[what](*arguments)))
