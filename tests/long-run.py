#!/usr/bin/env python3
"""The long run: what README's test command does with small counts, with the full ones, and every
benchmark. What each part prints goes unedited into docs/measured.md, in the place of what the same
part printed before.

    python3 tests/long-run.py               every part, about four hours on 2 cores
    python3 tests/long-run.py kills events  only these
"""

import datetime
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "measured.md"
BENCH = ["cargo", "run", "--quiet", "--release", "--locked", "--package", "skep-tests", "--bin", "skep-bench", "--"]
FUZZ_S = 3600


def run(command, **environment):
    """Runs a command; gives its standard output. The first failure ends the long run."""
    print("+", " ".join(command), file=sys.stderr, flush=True)
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{done.stdout}\n{' '.join(command)}: exit code {done.returncode}")
    return done.stdout


def results(output):
    """The lines of a test run that say what it came to."""
    return "\n".join(line for line in output.splitlines() if re.match(r"test |SKEP_|\d+ inputs|long run: ", line))


def build():
    """The release build, from nothing but downloaded sources."""
    run(["cargo", "fetch", "--locked"])
    with tempfile.TemporaryDirectory() as target:
        begin = time.monotonic()
        run(["cargo", "build", "--quiet", "--release", "--locked", "--package", "skep"], CARGO_TARGET_DIR=target)
        took_s = time.monotonic() - begin
        binary = (pathlib.Path(target) / "release" / "skep").stat().st_size
    return f"{took_s / 60:.1f} min, binary of {binary / 1e6:.0f} MB, load before and after included: {os.getloadavg()}"


def first_build():
    """What README's first command builds, from nothing but downloaded sources."""
    run(["cargo", "fetch", "--locked"])
    with tempfile.TemporaryDirectory() as target:
        begin, before = time.monotonic(), os.times()
        run(["cargo", "build", "--quiet", "--locked"], CARGO_TARGET_DIR=target)
        took_s, after = time.monotonic() - begin, os.times()
        processor_s = after.children_user + after.children_system - before.children_user - before.children_system
        size = size_of(target)
    return f"{took_s / 60:.1f} min, {processor_s / 60:.1f} min of processor time; target {size / 1e9:.1f} GB"


def ci():
    """.ci/run in a fresh clone, from nothing but downloaded sources."""
    with tempfile.TemporaryDirectory() as folder:
        run(["git", "clone", "--quiet", str(ROOT), folder])
        begin = time.monotonic()
        output = run(["bash", f"{folder}/.ci/run"], CARGO_TARGET_DIR=f"{folder}/target")
        took_s, size = time.monotonic() - begin, size_of(f"{folder}/target")
    steps = "\n".join(line for line in output.splitlines() if re.match(r"== |test result: ", line))
    return f"{steps}\n{took_s / 60:.1f} min, target {size / 1e9:.1f} GB"


def size_of(folder):
    return sum(path.lstat().st_size for path in pathlib.Path(folder).rglob("*"))


def kills():
    """100 times kill -9 during the first mirror, and 100 times during event apply."""
    return results(
        run(["cargo", "test", "--locked", "--package", "skep-tests", "--test", "crash", "--", "--nocapture"], SKEP_LONG="1")
    )


def journal():
    """Loss of power at any write of the journal, 1,000 seeds; damage to it, 20,000 times."""
    command = ["cargo", "test", "--locked", "--workspace", "--lib", "journal", "--", "--nocapture"]
    return results(run(command, SKEP_LONG="1"))


def fuzz():
    """An hour of random and damaged bytes into everything that reads a metastore's bytes."""
    return results(
        run(
            ["cargo", "test", "--locked", "--package", "skep-hms", "--test", "fuzz_codec", "--", "--nocapture"],
            SKEP_FUZZ_SECONDS=str(FUZZ_S),
        )
    )


def benchmark(name):
    return lambda: run([*BENCH, name])


PARTS = {
    "build": ("Release build from nothing", build),
    "first-build": ("README's first command, built from nothing", first_build),
    "ci": (".ci/run in a fresh clone, from nothing", ci),
    "kills": ("kill -9 during the first mirror and during event apply, 100 times each", kills),
    "journal": ("Loss of power and damage of the journal, simulated", journal),
    "fuzz": ("An hour of fuzz of the codec", fuzz),
    "partitions-sql": ("SQL over 10 million partitions, beside DuckDB; memory, disk, restart", benchmark("partitions-sql")),
    "first-mirror": ("First mirror from the sample metastore, beside a bare client", benchmark("first-mirror")),
    "first-mirror-real": ("First mirror from a real metastore 3.1.3, beside a bare client", benchmark("first-mirror-real")),
    "events": ("Events per second, delay from event to visible row", benchmark("events")),
}


def commit():
    describe = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    return subprocess.run(describe, capture_output=True, text=True, check=True).stdout.strip()


def write(part, output, at):
    """Puts the output between the part's marks."""
    begin, end = f"<!-- {part} -->\n", f"<!-- end of {part} -->\n"
    title, _ = PARTS[part]
    day = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")
    text = f"{begin}## {title}\n\n`python3 tests/long-run.py {part}`, commit {at}, {day}:\n\n```\n{output.strip()}\n```\n{end}"
    page = PAGE.read_text()
    if begin in page:
        head, rest = page.split(begin, 1)
        page = head + text + rest.split(end, 1)[1]
    else:
        page = page.rstrip() + "\n\n" + text
    PAGE.write_text(page)


def main():
    wanted = sys.argv[1:] or list(PARTS)
    for part in wanted:
        if part not in PARTS:
            sys.exit(f"{part} is no part of the long run; the parts are {', '.join(PARTS)}")
    outputs = {}
    try:
        for part in wanted:
            outputs[part] = PARTS[part][1]()
    finally:
        # Only now: a page written before would make the commit that the next part prints dirty.
        at = commit()
        for part, output in outputs.items():
            write(part, output, at)


main()
