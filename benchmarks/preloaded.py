"""What each process of work begins with, imported once: they are forked from a process that has done so."""

import django

django.setup()

import benchmarks.rows  # noqa: E402
import benchmarks.tools  # noqa: E402, F401
