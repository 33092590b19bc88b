"""A progress line, only where a person watches: standard error is a terminal."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, TextIO

from session_cleanup.engine.execution import Observer


@contextmanager
def progress_on(stream: TextIO, options: dict[str, Any]) -> Iterator[Observer | None]:
    """Give an observer that shows each job's count; None where nobody watches or rich is not installed."""
    installed = find_spec("rich") is not None  # the extra "progress"
    if not installed or not stream.isatty() or options["dry_run"] or options["format"] == "json":
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}: {task.fields[rows]} rows"),
        BarColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(file=stream), transient=True) as progress:
        tasks: dict[str, Any] = {}

        def observe(job: str, changed: int, share: float | None) -> None:
            if job not in tasks:
                tasks[job] = progress.add_task(job, total=None, rows=0)
            if share is not None:  # a walk along the heap knows how far it is
                progress.update(tasks[job], total=1, completed=share)
            progress.update(tasks[job], rows=changed)

        yield observe
