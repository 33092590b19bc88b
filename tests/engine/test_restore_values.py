"""Every type of column comes back to the bit, whatever its values: the tables are compared as text."""

from contextlib import contextmanager

import pytest
from django.apps import apps
from django.db import NotSupportedError, connection, models

from session_cleanup.engine import runner
from session_cleanup.engine.report import RunRequest
from session_cleanup.policies import Aged, Delete, Policy
from tests.engine.test_restore import take_back
from tests.factories import DAY, NOW
from tests.graphs.random_models import APP, make

# type: values, as SQL; each value is a row beside the others.
POSTGRESQL = {
    "boolean": ["true", "false"],
    "smallint": ["-32768", "32767"],
    "bigint": ["-9223372036854775808", "9223372036854775807"],
    "real": ["'-0'", "'NaN'", "'Infinity'", "1e-45", "3.4028235e38", "0.1"],
    "double precision": [
        "'-0'",
        "'NaN'",
        "'-Infinity'",
        "5e-324",
        "1.7976931348623157e308",
        "0.1::real",
        "1/3.0",
    ],
    "numeric": [
        "1.500",
        "'NaN'",
        "'Infinity'",
        "123456789012345678901234567890.000000000000000000001",
        "-0.00",
    ],
    "numeric(10,4)": ["1.5", "-99999.9999"],
    "text": [
        "''",
        "' '",
        r"E'\\ \\\\ \" \"\" '' , ( ) { } % %s \n\r\t\x01 é 💥'",
        "'NULL'",
        "repeat('x', 100000)",
    ],
    "varchar(20)": ["'  padded  '", "'(1,\"\")'"],
    "char(10)": ["'a'", "'  b'", "''"],
    "citext": ["'MiXed'"],
    "uuid": ["'00000000-0000-0000-0000-000000000000'", "gen_random_uuid()"],
    "bytea": [r"'\x'", r"'\x00ff5c2722'"],
    "date": ["'0044-03-15 BC'", "'infinity'", "'-infinity'", "'5874897-12-31'"],
    "time": ["'24:00:00'", "'23:59:59.999999'"],
    "timetz": ["'12:00:00.000001+05:30'"],
    "timestamp": ["'0044-03-15 12:00:00 BC'", "'infinity'", "'294276-12-31 23:59:59.999999'"],
    "timestamptz": [
        "'0044-03-15 12:00:00+00 BC'",
        "'-infinity'",
        "'2026-10-25 02:30:00 Europe/Berlin'",
        "'1880-01-01 00:00:00 Europe/Berlin'",
    ],
    "interval": ["'-1 year -2 mons +3 days -04:05:06.000007'", "'0'", "'1 mon -1 day'", "'178000000 years'"],
    "json": ["'null'", "NULL", """'{"b": 1, "a": 1.0, "b":  2}'""", "'[1e400, -0.0, \"\\u0000\"]'"],
    "jsonb": ["'null'", "NULL", """'{"b": 1.00, "a": [null, -0, 1e30]}'""", r"""'"\\ \" ( , )"'"""],
    "integer[]": ["'{}'", "'[0:2]={1,NULL,3}'", "'{{1,2},{3,4}}'", "'[-1:0][5:6]={{1,2},{3,4}}'"],
    "text[]": ["""'{"a,b","","\\"",NULL,"NULL","\\\\"}'"""],
    "timestamptz[]": ["ARRAY['infinity'::timestamptz, NULL, '2026-01-01 00:00+02']"],
    "int4range": ["'empty'", "'(,)'", "'[1,5)'"],
    "numrange": ["'(1.50,]'", "'[-1e30,Infinity]'"],
    "tstzrange": ["""'["2026-01-01 00:00+00",infinity)'"""],
    "daterange": ["'[2026-01-01,2026-02-01)'"],
    "hstore": ["""'"a"=>NULL, "b"=>"", "c ,"=>"\\"=>"'"""],
    "inet": ["'10.0.0.1'", "'10.0.0.0/8'", "'::1/64'"],
    "cidr": ["'10.0.0.0/8'"],
    "macaddr": ["'08:00:2b:01:02:03'"],
    "bit(3)": ["B'101'"],
    "bit varying(9)": ["B''", "B'1'"],
    "tsvector": ["to_tsvector('simple', 'a ''quoted'' \\ word')"],
    "tsquery": ["'a & !b <-> c:*'"],
    "point": ["'(-0,1e-300)'"],
    "xml": ["'<a b=\"1\"> &amp; </a>'"],
    "restored_mood": ["'so, so'"],
    "restored_pair": ["ROW('-0'::float8, 'a \"b\" \\')", "ROW(NULL, NULL)", "NULL"],
}
SQLITE = {
    "integer": ["-9223372036854775808", "9223372036854775807", "'text in it'", "x'00ff'", "1.5"],
    "real": ["-0.0", "9e999", "-9e999", "5e-324", "0.1", "1.7976931348623157e308", "3", "'text'"],
    "text": ["''", "'1'", "1", "1.0", "x'00ff'", "'a \"b\" \\ ''c'' %s' || char(10, 0, 233, 128165)",
             "CAST(x'fffe41' AS text)", "'null'", "NULL"],
    "blob": ["x''", "x'00'", "'text'", "1", "NULL"],
    "bool": ["0", "1", "'t'", "2"],
    "datetime": ["'2026-01-01 00:00:00.000001'", "'no date'", "0", "1.5", "-1e300"],
    "date": ["'2026-01-01'", "'0000-00-00'", "20260101"],
    "timestamp": ["'2026-01-01 00:00:00'", "'x'"],
    "decimal": ["1.10", "'1.10'", "123456789012345678901234567890"],
    "char(32)": ["'00000000000000000000000000000005'"],
    "numeric": ["'0x10'", "1e20", "'1e2'"],
}  # fmt: skip


def known_here():
    """The types of this server: not each is built with libxml."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT '<a/>'::xml")
    except NotSupportedError:
        return {kind: values for kind, values in POSTGRESQL.items() if kind != "xml"}
    return POSTGRESQL


@contextmanager
def table_of_values():
    """A model over a table that has a column of every type, and a row for each of their values."""
    postgresql = connection.vendor == "postgresql"
    kinds = known_here() if postgresql else SQLITE
    model = make(
        "Values", models.Model, {"seen_at": models.DateTimeField(db_index=True)}, {"db_table": "the values"}
    )
    columns = ", ".join(f'"c{number} ""%"" {kind}" {kind}' for number, kind in enumerate(kinds))
    key = (
        "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
        if postgresql
        else "integer PRIMARY KEY AUTOINCREMENT"
    )
    made = "generated always as (1 + 1) stored"
    clock = "timestamptz" if postgresql else "datetime"
    with connection.cursor() as cursor:
        if postgresql:
            for extension in ("citext", "hstore"):
                cursor.execute(f"CREATE EXTENSION IF NOT EXISTS {extension}")
            cursor.execute("CREATE TYPE restored_mood AS ENUM ('so, so')")
            cursor.execute("CREATE TYPE restored_pair AS (a float8, b text)")
        cursor.execute(
            f'CREATE TABLE "the values" (id {key}, {columns}, seen_at {clock}, made integer {made}, '
            "ours integer)"
        )
        for number, (kind, values) in enumerate(kinds.items()):
            for value in values:
                name = f'c{number} ""%"" {kind}'
                cast = f"({value})::{kind}" if postgresql else value
                into = f'INSERT INTO "the values" ("{name}", seen_at, ours)'
                cursor.execute(f"{into} VALUES ({cast}, '2020-01-01', 7)")
    try:
        yield model
    finally:
        with connection.cursor() as cursor:
            cursor.execute('DROP TABLE "the values"')
            if postgresql:
                cursor.execute("DROP TYPE restored_mood, restored_pair")
        apps.all_models[APP].pop("values")
        apps.clear_cache()


def as_text():
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute('SELECT v::text FROM "the values" v ORDER BY id')
            return cursor.fetchall()
        cursor.execute("SELECT name FROM pragma_table_xinfo('the values')")
        names = [name.replace('"', '""') for (name,) in cursor.fetchall()]
        shown = ", ".join(f"""typeof("{name}"), hex("{name}"), quote("{name}")""" for name in names)
        handle = connection.connection
        factory, handle.text_factory = handle.text_factory, bytes
        try:
            return cursor.execute(f'SELECT {shown} FROM "the values" ORDER BY id').fetchall()
        finally:
            handle.text_factory = factory


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("hostile", [False, True])
def test_every_type(declare, hostile):
    """`hostile`: the role has settings under which PostgreSQL writes values that it cannot read back."""
    declare(Policy(name="go", model=f"{APP}.Values", select=Aged("seen_at"), action=Delete(), undo=DAY))
    with table_of_values():
        before = as_text()
        if hostile and connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(
                    "SET DateStyle = 'ISO, DMY'; SET IntervalStyle = 'sql_standard'; "
                    "SET extra_float_digits = -15; SET bytea_output = 'escape'"
                )
        try:
            report = runner.run(RunRequest(jobs=("go",)), now=NOW)
            assert report.jobs[0].changed == len(before)
            assert not as_text()
            done = take_back(report.run)
        finally:
            connection.close()

        assert done.exit_status == 0, done
        assert as_text() == before
