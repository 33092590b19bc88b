"""Ways to look for something in a diagnosis."""

from django.db import connection

# What every test database has: it is fast, a file without WAL, and keeps what tests have rolled back.
USUAL = {"sqlite-journal", "sqlite-synchronous", "dead-rows", "space-to-win"}


def slugs(diagnosis):
    """What was found, but for what every test database has."""
    return [finding.slug for finding in diagnosis.findings if finding.slug not in USUAL]


def the(slug, diagnosis):
    """The one finding of that kind."""
    [finding] = [finding for finding in diagnosis.findings if finding.slug == slug]
    return finding


def index_on(table, *columns):
    """The name of the index that begins with these columns, whatever Django called it."""
    with connection.cursor() as cursor:
        constraints = connection.introspection.get_constraints(cursor, table)
    return next(
        name
        for name, found in constraints.items()
        if found["index"] and not found["primary_key"] and found["columns"][: len(columns)] == list(columns)
    )
