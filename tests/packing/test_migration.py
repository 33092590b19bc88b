"""From a JSONField to a PackedJSONField and back, nothing is done to the database."""

import pytest
from django.db import connection, migrations
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ModelState, ProjectState
from django.db.models import JSONField

from session_cleanup.packing.fields import PackedJSONField
from tests.testapp.models import Document


def test_the_column_is_that_of_a_json_field():
    ours, theirs = Document._meta.get_field("body"), JSONField(null=True)
    theirs.set_attributes_from_name("body")

    assert ours.db_parameters(connection) == theirs.db_parameters(connection)


@pytest.mark.postgres
@pytest.mark.django_db
@pytest.mark.parametrize("kinds", [(JSONField, PackedJSONField), (PackedJSONField, JSONField)])
def test_altering_the_field_is_no_statement_on_postgresql(kinds):
    before, after = (ProjectState(), ProjectState())
    for state, kind in zip((before, after), kinds, strict=True):
        state.add_model(ModelState("testapp", "Parcel", [("body", kind(null=True))]))
    with connection.schema_editor(collect_sql=True) as editor:
        migrations.AlterField("Parcel", "body", kinds[1](null=True)).database_forwards(
            "testapp", editor, before, after
        )

    assert editor.collected_sql == []


@pytest.mark.django_db(transaction=True)
def test_our_own_migration_does_not_touch_the_column():
    loader = MigrationLoader(connection)
    before = loader.project_state([("session_cleanup", "0001_initial")])
    with connection.schema_editor(collect_sql=True) as editor:
        loader.graph.nodes["session_cleanup", "0004_packing"].apply(before, editor, collect_sql=True)

    assert not [
        sql for sql in editor.collected_sql if "payload" in sql and not sql.startswith("CREATE INDEX")
    ]
