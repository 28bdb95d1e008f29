# The peer of benchmark partitions-sql: builds a table in memory and runs the queries given as JSON
# on standard input; answers JSON on standard output.
import json
import sys
import time

import duckdb

given = json.load(sys.stdin)
connection = duckdb.connect()
# It is printed on standard output.
connection.execute("SET enable_progress_bar = false")
connection.execute(f"SET threads = {given['threads']}")
begin = time.perf_counter()
connection.execute("CREATE TABLE partitions AS " + given["rows"])
load_s = time.perf_counter() - begin
answers = []
for sql in given["queries"]:
    execute_ms, fetch_ms = [], []
    for _ in range(given["rounds"] + 1):
        begin = time.perf_counter()
        result = connection.execute(sql)
        executed = time.perf_counter()
        rows = result.fetchall()
        execute_ms.append((executed - begin) * 1e3)
        fetch_ms.append((time.perf_counter() - begin) * 1e3)
    answers.append({
        "rows": [["" if value is None else str(value) for value in row] for row in rows],
        "cold_ms": execute_ms[0],
        "execute_ms": execute_ms[1:],
        "fetch_ms": fetch_ms[1:],
    })
rss_kib = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS"))
json.dump({"version": duckdb.__version__, "load_s": load_s, "resident_bytes": rss_kib * 1024, "answers": answers}, sys.stdout)
