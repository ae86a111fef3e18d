"""`python -m bench` (`make bench`): every figure in one run, as one table with goals and verdicts.

Each part is a process of its own, so that none inherits the memory or the event loop of another. `--write` renews the
table of docs/benchmarks.md, with the machine and the date. Exits with 1 if a part could not be measured; a missed goal
is told, not an error.
"""

import argparse
import datetime as dt
import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from bench import placement
from bench.figure import Figure

PARTS = ("starting", "services", "deploying", "balancer", "requests", "placing", "scale", "weight")
_DOCUMENT = Path(__file__).parent.parent / "docs" / "benchmarks.md"
_BEGIN, _END = "<!-- figures: python -m bench --write -->", "<!-- end of figures -->"


def placing() -> list[Figure]:
    """The figures of `bench.placement` that have goals, and what they were next to."""
    found = placement.measure()
    what = f"{placement.TASKS:,} tasks placed on {placement.INSTANCES:,} instances, memberOf + spread(AZ) + binpack"
    alone = "one by one {:,.0f}/s".format
    memory, durable = found["in memory, groups of 100"], found["durable, groups of 100"]
    return [
        Figure(
            f"{what}, in memory",
            memory,
            "/s",
            goal=50_000,
            is_most=False,
            how=f"in groups of 100; {alone(found['in memory, one by one'])}",
        ),
        Figure(
            f"{what}, durable",
            durable,
            "/s",
            goal=20_000,
            is_most=False,
            how=f"in groups of 100; {alone(found['durable, one by one'])}",
        ),
    ]


def measured(part: str) -> list[Figure]:
    """The figures of one part, here and now."""
    if part == "placing":
        return placing()
    figures: list[Figure] = import_module(f"bench.{part}").measure()
    return figures


def measured_apart(part: str) -> list[Figure]:
    """The same in a process of its own. Raises CalledProcessError."""
    command = [sys.executable, "-m", "bench", "--json", part]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return [Figure(**each) for each in json.loads(done.stdout.splitlines()[-1])]


def machine() -> str:
    """What the figures depend on, without names."""
    cpu = next(_lines_of("/proc/cpuinfo", "model name"), platform.machine()).split(":")[-1].strip()
    memory = next(_lines_of("/proc/meminfo", "MemTotal"), "0 0").split()[1]
    docker = subprocess.run(
        ["docker", "version", "--format", "{{.Server.Version}}"],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    busy = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    return (
        f"{os.cpu_count()} × {cpu}, {int(memory) / 2**20:.0f} GiB, Linux {platform.release().split('-')[0]}, "
        f"Docker {docker}, Python {platform.python_version()}; load average at the end {busy}"
    )


def _lines_of(path: str, start: str) -> Iterator[str]:
    try:
        return (line for line in Path(path).read_text().splitlines() if line.startswith(start))
    except FileNotFoundError:
        return iter(())


def table(figures: list[Figure]) -> str:
    """The figures as a Markdown table."""
    lines = ["| what | measured | goal | | from |", "|---|---:|---:|---|---|"]
    lines += [
        f"| {each.what} | {each.value_text} | {each.goal_text} | {each.verdict} | {each.how} |" for each in figures
    ]
    return "\n".join(lines)


def write(text: str) -> None:
    """Renew the part of the document between the marks; the words around it stay."""
    document = _DOCUMENT.read_text()
    before, _, rest = document.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    _DOCUMENT.write_text(f"{before}{_BEGIN}\n{text}\n{_END}{after}")


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    options.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all unless named")
    options.add_argument("--write", action="store_true", help="renew docs/benchmarks.md (with all parts only)")
    options.add_argument("--json", action="store_true", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    parts = chosen.parts or PARTS
    if set(parts) - set(PARTS) or (chosen.write and chosen.parts):
        options.error(f"parts are {', '.join(PARTS)}; --write goes with all of them")
    if chosen.json:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started must be ended
        print(json.dumps([asdict(figure) for part in parts for figure in measured(part)]))
        return
    figures: list[Figure] = []
    failed: list[str] = []
    for part in parts:
        print(f"measuring {part} …", file=sys.stderr, flush=True)
        try:
            figures += measured_apart(part)
        except subprocess.CalledProcessError:
            failed.append(part)
    when = dt.datetime.now(dt.UTC).date().isoformat()
    text = f"{when}, {machine()}.\n\n{table(figures)}"
    print(text)
    if failed:
        sys.exit(f"not measured: {', '.join(failed)}")
    if chosen.write:
        write(text)


if __name__ == "__main__":
    main()
