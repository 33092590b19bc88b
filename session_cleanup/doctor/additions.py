"""The migration that adds an index beside writers, as the text of a file."""

import sysconfig
from pathlib import Path
from typing import Any

from django.apps import AppConfig, apps
from django.db import connections
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.writer import MigrationWriter
from django.db.models import Index, Model

OUR_OWN = Path(__file__).parents[1]
BESIDE_WRITERS = """\
    atomic = False  # PostgreSQL builds an index beside writers outside a transaction only

"""

OPERATION = """\
# {path}
{imports}

class Migration(migrations.Migration):
{atomic}    dependencies = [{dependencies}]

    operations = [
        {operation}(
            {model!r},
            {index},
        ),
    ]
"""
# The model is not ours to change, so its state must not know of the index.
SQL = """\
# {path}
from django.db import migrations


class Migration(migrations.Migration):
{atomic}    dependencies = [{dependencies}]

    operations = [
        migrations.RunSQL(
            {forwards!r},
            {backwards!r},
        ),
    ]
"""


def migration_adding(index: Index, model: type[Model], using: str) -> str:
    """The file that adds `index` to the table of `model`; for the models of others, in an app of yours."""
    concurrently = connections[using].vendor == "postgresql"
    app = apps.get_app_config(model._meta.app_label)
    leaves = MigrationLoader(None, ignore_no_migrations=True).graph.leaf_nodes(app.label)
    common = {
        "atomic": BESIDE_WRITERS if concurrently else "",
        "dependencies": ", ".join(f'("{label}", "{name}")' for label, name in leaves),
    }
    if not (leaves and _is_own(app)):
        return _by_sql(index, model, using, concurrently, common)
    number = max(MigrationAutodetector.parse_number(name) or 0 for _, name in leaves) + 1
    written, imports = MigrationWriter.serialize(index)
    operation = "AddIndexConcurrently" if concurrently else "migrations.AddIndex"
    if concurrently:
        imports = {*imports, f"from django.contrib.postgres.operations import {operation}"}
    lines = sorted({*imports} - {"from django.db import models"})
    return OPERATION.format(
        path=f"{app.name.replace('.', '/')}/migrations/{number:04}_{index.name}.py",
        imports="\n".join([*lines, "from django.db import migrations, models\n"]),
        operation=operation,
        model=model._meta.model_name,
        index=written,
        **common,
    )


def _by_sql(index: Index, model: type[Model], using: str, concurrently: bool, common: dict[str, str]) -> str:
    connection = connections[using]
    editor = connection.SchemaEditorClass(connection, collect_sql=True)
    name = connection.ops.quote_name(index.name)
    beside: Any = {"concurrently": True} if concurrently else {}
    return SQL.format(
        path=f"an app of yours/migrations/{index.name}.py: put it behind that app's last one",
        forwards=str(index.create_sql(model, editor, **beside)),
        backwards=f"DROP INDEX {'CONCURRENTLY ' if concurrently else ''}IF EXISTS {name}",
        **common,
    )


def _is_own(app: AppConfig) -> bool:
    """Whether an app belongs to the project: neither installed as a package, nor this app."""
    path = Path(app.path).resolve()
    packages = [Path(sysconfig.get_path(kind)).resolve() for kind in ("purelib", "platlib", "stdlib")]
    return not any(path.is_relative_to(place) for place in [OUR_OWN, *packages])
