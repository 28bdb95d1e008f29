"""A user of skep with ADBC: `python adbc.py grpc://HOST:PORT TABLES`.

Prints one line for each thing that was done and found right; anything else is an exception.
"""

import sys
import threading

import adbc_driver_flightsql
import adbc_driver_flightsql.dbapi as dbapi
import adbc_driver_manager
import pyarrow

URI, TABLES = sys.argv[1], int(sys.argv[2])
ENDLESS = "SELECT a.comment || b.comment AS c FROM docs.columns a, docs.columns b, docs.columns c"


def connect(**options):
    return dbapi.connect(URI, db_kwargs=options, autocommit=True)


def equal(found, expected):
    assert found == expected, f"{found!r} is not {expected!r}"


def fails(work, *words):
    try:
        work()
    except adbc_driver_manager.Error as error:
        for word in words:
            assert word in str(error), f"no {word!r} in {error}"
        return error
    raise AssertionError("no error")


def queries(cursor):
    cursor.execute("SELECT count(*) AS n FROM catalog.tables")
    equal([c[0] for c in cursor.description], ["n"])
    equal(cursor.fetchall(), [(TABLES,)])
    cursor.execute("SELECT * FROM catalog.tables ORDER BY table_name")
    table = cursor.fetch_arrow_table()
    equal(table.num_rows, TABLES)
    equal(table.schema.field("metastore_name"), pyarrow.field("metastore_name", pyarrow.string(), nullable=False))
    equal(table.schema.field("synced_at").type, pyarrow.timestamp("us", tz="UTC"))
    cursor.execute("SELECT table_name FROM catalog.tables WHERE 1 = 0")
    equal(cursor.fetchall(), [])


def parameters(cursor):
    sql = "SELECT count(*) FROM catalog.tables WHERE metastore_name = ? AND table_name LIKE ?"
    cursor.execute(sql, ("dc1", "%"))
    equal(cursor.fetchone(), (TABLES,))
    cursor.execute(sql.replace("?", "$1", 1).replace("?", "$2"), ("dc1", "no such table"))
    equal(cursor.fetchone(), (0,))
    cursor.execute("SELECT table_name FROM catalog.tables ORDER BY 1 LIMIT ?", (2,))
    equal(len(cursor.fetchall()), 2)
    cursor.execute("SELECT ? AS a, CAST(? AS BIGINT) + 1 AS b", (5, 6))
    equal(cursor.fetch_arrow_table().to_pylist(), [{"a": "5", "b": 7}])
    cursor.execute("SELECT ?", (None,))
    equal(cursor.fetchone(), (None,))
    fails(lambda: cursor.execute("SELECT ?, ?", (1,)), "SQL_INVALID", "2 parameters, and 1 were given")


def schemas_before_rows(cursor):
    schema = cursor.adbc_execute_schema("SELECT 1 AS a, 'x' AS b")
    equal(schema.names, ["a", "b"])


def metadata(connection):
    objects = connection.adbc_get_objects(depth="all").read_all().to_pylist()
    equal([catalog["catalog_name"] for catalog in objects], ["skep"])
    schemas = {s["db_schema_name"]: s["db_schema_tables"] for s in objects[0]["catalog_db_schemas"]}
    assert {"catalog", "federation", "sync", "runtime", "docs"} <= schemas.keys(), schemas.keys()
    tables = {t["table_name"]: t for t in schemas["catalog"]}
    equal(tables["tables"]["table_type"], "BASE TABLE")
    columns = [c["column_name"] for c in tables["tables"]["table_columns"]]
    equal(columns[:4], ["metastore_name", "catalog_name", "database_name", "table_name"])
    one = connection.adbc_get_objects(
        depth="tables", db_schema_filter="sync", table_name_filter="stat%"
    ).read_all().to_pylist()
    named = [t["table_name"] for s in one[0]["catalog_db_schemas"] for t in s["db_schema_tables"] or []]
    equal(named, ["status"])
    equal(sorted(connection.adbc_get_table_types()), ["BASE TABLE", "VIEW"])
    schema = connection.adbc_get_table_schema("tables", db_schema_filter="catalog")
    equal(schema.names, columns)
    info = connection.adbc_get_info()
    equal(info["vendor_name"], "skep")


def current(connection):
    equal((connection.adbc_current_catalog, connection.adbc_current_db_schema), ("skep", "catalog"))


def session_schema():
    # The driver keeps cookies only when it is told to.
    with connect(**{"adbc.flight.sql.rpc.with_cookie_middleware": "true"}) as connection:
        connection.adbc_current_db_schema = "docs"
        equal(connection.adbc_current_db_schema, "docs")
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM examples")
            assert cursor.fetchone()[0] > 0


def mistakes(connection):
    with connection.cursor() as cursor:
        error = fails(lambda: cursor.execute("SELECT * FROM catalog.tabels"), "SQL_INVALID", "catalog.tables?")
        assert isinstance(error, adbc_driver_manager.ProgrammingError), type(error)
    with connection.cursor() as cursor:
        fails(lambda: cursor.execute("SELEC 1"), "SQL_SYNTAX")
    with connection.cursor() as cursor:
        fails(lambda: cursor.execute("DELETE FROM catalog.tables"), "SQL_READ_ONLY")
    with connection.cursor() as cursor:
        fails(lambda: cursor.executescript("SELECT 1"), "SQL_READ_ONLY")


def large_results(cursor):
    cursor.execute(ENDLESS + " LIMIT 100000")
    equal(sum(batch.num_rows for batch in cursor.fetch_record_batch()), 100_000)


def partitions():
    with connect() as connection, connection.cursor() as cursor:
        parts, schema = cursor.adbc_execute_partitions("SELECT count(*) AS n FROM catalog.tables")
        equal(schema.names, ["n"])
    for _ in range(2):
        with connect() as connection, connection.cursor() as cursor:
            for part in parts:
                cursor.adbc_read_partition(part)
                equal(cursor.fetchall(), [(TABLES,)])


def cancel(connection):
    with connection.cursor() as cursor:
        cursor.execute(ENDLESS)
        reader = cursor.fetch_record_batch()
        reader.read_next_batch()
        threading.Timer(0.2, cursor.adbc_cancel).start()

        def read_all():
            try:
                for _ in reader:
                    pass
            except (OSError, pyarrow.ArrowException) as error:
                raise adbc_driver_manager.OperationalError(
                    str(error), status_code=adbc_driver_manager.AdbcStatusCode.CANCELLED
                ) from error

        fails(read_all)
    cancelled(connection)


def cancelled(connection):
    """Waits until the server knows."""
    sql = "SELECT count(*) FROM runtime.query_history WHERE state = 'cancelled' AND row_count > 0"
    for _ in range(600):
        with connection.cursor() as cursor:
            cursor.execute(sql)
            if cursor.fetchone()[0] > 0:
                return
        threading.Event().wait(0.05)
    raise AssertionError("the statement goes on")


def time_limit():
    with connect(**{"adbc.flight.sql.rpc.timeout_seconds.fetch": "0.5"}) as connection:
        with connection.cursor() as cursor:
            cursor.execute(ENDLESS)
            fails(lambda: [None for _ in iter(cursor.fetchone, None)])


def names_and_passwords():
    with connect(username="ann", password="any") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        equal(cursor.fetchone(), (1,))


def say(what):
    print(what, flush=True)


print("ADBC", adbc_driver_flightsql.__version__, file=sys.stderr)
with connect() as shared:
    with shared.cursor() as asks:
        queries(asks)
        say("queries")
        parameters(asks)
        say("parameters")
    with shared.cursor() as asks:
        schemas_before_rows(asks)
        say("schemas before rows")
    metadata(shared)
    say("metadata")
    current(shared)
    say("current catalog and schema")
    session_schema()
    say("schema of a session")
    mistakes(shared)
    say("mistakes")
    with shared.cursor() as asks:
        large_results(asks)
        say("large results")
    partitions()
    say("partitions")
    cancel(shared)
    say("cancel")
time_limit()
say("time limit")
names_and_passwords()
say("names and passwords")
