"""A few worlds on every run, and that a seed says everything: `python -m tests.sim --seeds 200` runs many."""

import os
import subprocess
import sys

import pytest

from tests.sim.__main__ import REPLAY
from tests.sim.world import simulate


@pytest.mark.parametrize("seed", range(1000, 1008))
def test_world_under_faults_then_settles(seed):
    world, error = simulate(seed)
    assert error is None, f"{error}\nreplay: {REPLAY.format(seed=seed)}"
    assert world.trace


def test_seed_run_again_then_the_same_trace_to_the_last_line():
    (first, _), (second, _) = simulate(4), simulate(4)
    assert first.trace == second.trace
    other, _ = simulate(5)
    assert other.digest() != first.digest()


def test_seed_in_other_processes_whatever_strings_hash_to_then_the_same_trace():
    def digest(hash_seed):
        command = [sys.executable, "-m", "tests.sim", "--seed", "4"]
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout.split(",")[
            0
        ]

    assert digest("1") == digest("2") == f"seed 4: trace {simulate(4)[0].digest()}"
