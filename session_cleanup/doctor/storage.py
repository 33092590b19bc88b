"""Dead rows, and space that holds no rows."""

from collections.abc import Iterator

from django.template.defaultfilters import filesizeformat

from session_cleanup.doctor.case import Case
from session_cleanup.doctor.catalog import Catalog, Table
from session_cleanup.doctor.findings import Finding, Severity

DEAD_SHARE, DEAD_ROWS = 0.2, 1000  # autovacuum starts at 0.2, unless told otherwise
UNUSED_SHARE, UNUSED_BYTES = 0.3, 4 * 2**20
KEPT = "Space without rows is read by every scan and kept in every backup."


def of_storage(case: Case) -> Iterator[Finding]:
    for model in {*case.deleted, *case.updated}:
        table = case.table_of(model)
        yield from _dead_rows(case, table)
        space = case.catalog.space(table)
        if space and _is_much(space.size, space.unused):
            yield Finding(
                "space-to-win",
                Severity.ADVICE,
                table.name,
                f"{_size(space.unused)} of its {_size(space.size)} hold no rows ({space.how}).",
                KEPT,
                f"VACUUM {table.name} lets new rows take that space. To give it back to the disk: pg_repack, "
                f"or VACUUM FULL {table.name}, which locks the table as long as it takes.",
            )


def of_file(catalog: Catalog) -> Iterator[Finding]:
    """The same for a database that is one file."""
    space = catalog.file()
    if space and _is_much(space.size, space.unused):
        yield Finding(
            "space-to-win",
            Severity.ADVICE,
            catalog.using,
            f"{_size(space.unused)} of its {_size(space.size)} hold no rows ({space.how}).",
            KEPT,
            "New rows take that space. To give it back to the disk: VACUUM in a quiet hour; it locks the "
            "file and needs as much space again while it works.",
        )


def _dead_rows(case: Case, table: Table) -> Iterator[Finding]:
    rows = case.catalog.dead_rows(table)
    if rows is None:
        return
    if not rows.is_vacuumed:
        yield Finding(
            "autovacuum-off",
            Severity.ADVICE,
            table.name,
            "Autovacuum is off for it.",
            "Each run leaves dead rows and index entries: the table grows, and the next runs are slower.",
            f"ALTER TABLE {table.name} RESET (autovacuum_enabled), or the server's autovacuum = on.",
        )
    if rows.dead >= DEAD_ROWS and rows.dead > DEAD_SHARE * (rows.live + rows.dead):
        when = (
            f"last vacuumed {rows.vacuumed_at:%Y-%m-%d %H:%M} UTC" if rows.vacuumed_at else "never vacuumed"
        )
        yield Finding(
            "dead-rows",
            Severity.ADVICE,
            table.name,
            f"About {rows.dead:,} of its {rows.live + rows.dead:,} rows are dead; it was {when}.",
            "A walk by an index crawls over the entries of dead rows.",
            f"VACUUM (ANALYZE) {table.name}. If they stay, an old transaction keeps them: see "
            "pg_stat_activity.",
        )


def _is_much(size: int, unused: int) -> bool:
    return unused >= UNUSED_BYTES and unused > UNUSED_SHARE * size


def _size(number: int) -> str:
    return filesizeformat(number).replace("\xa0", " ")
