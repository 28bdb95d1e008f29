"""Users of skep with ADBC over TLS: `python login.py grpc+tls://HOST:PORT CA_FILE PASSWORD TOKEN`.

Prints one line for each thing that was done and found right; anything else is an exception.
"""

import sys

import adbc_driver_flightsql.dbapi as dbapi
import adbc_driver_manager

URI, CA_FILE, PASSWORD, TOKEN = sys.argv[1:]
ROOTS = "adbc.flight.sql.client_option.tls_root_certs"
AUTHORIZATION = "adbc.flight.sql.authorization_header"
WHO = "SELECT principal FROM runtime.queries"
SEEN = "SELECT DISTINCT database_name FROM catalog.tables ORDER BY 1"

with open(CA_FILE) as file:
    AUTHORITY = file.read()


def ask(sql, **options):
    options = {ROOTS: AUTHORITY, **options}
    with dbapi.connect(URI, db_kwargs=options, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return [row[0] for row in cursor.fetchall()]


def fails(word, **options):
    try:
        ask(WHO, **options)
    except adbc_driver_manager.Error as error:
        text = str(error)
        assert word in text, text
        assert PASSWORD not in text and TOKEN not in text, text
        return
    raise AssertionError(f"let in with {options.keys()}")


assert ask(WHO, username="ann", password=PASSWORD) == ["ann"]
print("password")
assert ask(WHO, **{AUTHORIZATION: f"Bearer {TOKEN}"}) == ["bob"]
print("token")
assert ask(WHO, username="bob", password=TOKEN) == ["bob"]
print("token as password")
everything = ask(SEEN, **{AUTHORIZATION: f"Bearer {TOKEN}"})
assert 1 < len(everything), everything
assert ask(SEEN, username="ann", password=PASSWORD) == everything[:1]
print("rows in scope")
fails("UNAUTHENTICATED", username="ann", password=PASSWORD + "x")
fails("UNAUTHENTICATED", username="nobody", password=PASSWORD)
fails("UNAUTHENTICATED", **{AUTHORIZATION: f"Bearer {TOKEN}x"})
fails("UNAUTHENTICATED")
print("strangers")
try:
    with dbapi.connect(URI, db_kwargs={"username": "ann", "password": PASSWORD}, autocommit=True) as connection:
        with connection.cursor() as cursor:
            cursor.execute(WHO)
    raise AssertionError("an authority that nobody knows was trusted")
except adbc_driver_manager.Error as error:
    assert "certificate" in str(error), error
print("unknown authority")
