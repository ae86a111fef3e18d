"""`python -m tests.sim --seeds N`: many worlds on all cores; `--seed K`: one of them again, with its trace."""

import argparse
import faulthandler
import multiprocessing
import sys
import time
import traceback
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import NamedTuple

from tests.sim.world import Violation, simulate

#: Real seconds after which a world that neither ends nor lets time pass is given up, with its stack.
HANGS_AFTER = 300.0
REPLAY = ".venv/bin/python -m tests.sim --seed {seed}"


class Outcome(NamedTuple):
    seed: int
    digest: str
    virtual_seconds: float
    seconds: float
    tasks: int
    error: str
    tail: tuple[str, ...]


def run_seed(seed: int) -> Outcome:
    started = time.perf_counter()
    faulthandler.dump_traceback_later(HANGS_AFTER, exit=True)
    world, error = simulate(seed)
    faulthandler.cancel_dump_traceback_later()
    text = ""
    if error is not None:
        text = str(error) if isinstance(error, Violation) else "".join(traceback.format_exception(error))
    return Outcome(
        seed,
        world.digest(),
        world.clock.monotonic(),
        time.perf_counter() - started,
        len(world.promises.tasks),
        text,
        tuple(world.trace[-30:]) if error else (),
    )


def replay(seed: int, trace: str | None) -> int:
    world, error = simulate(seed)
    if trace:
        with open(trace, "w") as file:
            file.write("\n".join(world.trace) + "\n")
    print(
        f"seed {seed}: trace {world.digest()}, {len(world.trace)} lines, {world.clock.monotonic():.0f} s of virtual time"
    )
    if error is None:
        return 0
    print(str(error) if isinstance(error, Violation) else "".join(traceback.format_exception(error)))
    return 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many worlds")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="only this world")
    parser.add_argument("--trace", help="with --seed: write everything that happened to this file")
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count())
    options = parser.parse_args()
    if options.seed is not None:
        return replay(options.seed, options.trace)
    return run_many(range(options.first, options.first + options.seeds), options.jobs)


def run_many(seeds: range, jobs: int) -> int:
    started = time.perf_counter()
    failed: list[Outcome] = []
    virtual = tasks = 0.0
    # Unlike multiprocessing.Pool this executor notices a worker that was ended by its own alarm.
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("fork")) as pool:
        for future in as_completed([pool.submit(run_seed, seed) for seed in seeds]):
            outcome = future.result()
            virtual += outcome.virtual_seconds
            tasks += outcome.tasks
            if outcome.error:
                failed.append(outcome)
                print(
                    f"seed {outcome.seed} failed:\n{outcome.error}\nreplay: {REPLAY.format(seed=outcome.seed)}\n",
                    flush=True,
                )
    seconds = time.perf_counter() - started
    print(
        f"{len(seeds) - len(failed)} of {len(seeds)} seeds passed: {virtual / 3600:.1f} h of virtual time, "
        f"{tasks:.0f} tasks, in {seconds:.0f} s"
    )
    if failed:
        print("failed: " + " ".join(str(outcome.seed) for outcome in sorted(failed)))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
