"""A progress line, only where a person watches: standard error is a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, TextIO


@contextmanager
def progress_on(stream: TextIO, options: dict[str, Any]) -> Iterator[Callable[[str, int], None] | None]:
    """Give an observer that shows each job's count; None where nobody watches or rich is not installed."""
    installed = find_spec("rich") is not None  # the extra "progress"
    if not installed or not stream.isatty() or options["dry_run"] or options["format"] == "json":
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}: {task.completed} rows"), TimeElapsedColumn())
    with Progress(*columns, console=Console(file=stream), transient=True) as progress:
        tasks: dict[str, Any] = {}

        def observe(job: str, changed: int) -> None:
            if job not in tasks:
                tasks[job] = progress.add_task(job, total=None)
            progress.update(tasks[job], completed=changed)

        yield observe
