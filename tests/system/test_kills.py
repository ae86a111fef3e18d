"""kill -9 of the server, of the agent and of containers, twenty times each, under load.

Nothing that was answered with success is lost; no container notices that one of our processes died (same container,
same start); in the end what should run runs, what should not does not, and exit codes are those of the containers.
`HOMEPORT_KILLS_SEED` chooses what is killed when, `HOMEPORT_KILLS_ROUNDS` how often; a failure tells the seed of the
run.
"""

import json
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter

import boto3
import botocore.exceptions
import pytest
from botocore.config import Config

from homeport.base.local import read_state
from homeport.cli.local import health
from tests.system.live import Live, until

ROUNDS = int(os.environ.get("HOMEPORT_KILLS_ROUNDS", "20"))
SEED = int(os.environ.get("HOMEPORT_KILLS_SEED", "20261123"))
#: A child of the supervisor that lived this long is started again at once.
ROUND_SECONDS = 3.5
MOST_ALIVE = 10
#: Stops gracefully with 7; a short one ends by itself with 3; SIGKILL gives 137.
STEADY = "trap 'exit 7' TERM; sleep 100000 & wait"
SHORT = "sleep 1; exit 3"


def docker(*arguments):
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True, timeout=60).stdout


class Containers:
    """What the engine says of one run's containers: (task ARN) -> (id, state)."""

    def __init__(self, family):
        self._filter = f"label=com.amazonaws.ecs.task-definition-family={family}"

    def inspect(self):
        ids = docker("ps", "-aq", "--no-trunc", "--filter", self._filter).split()
        done = subprocess.run(["docker", "inspect", *ids], check=False, capture_output=True, text=True, timeout=60)
        found = json.loads(done.stdout or "[]")  # without those that were removed meanwhile
        return {each["Config"]["Labels"]["com.amazonaws.ecs.task-arn"]: each for each in found}

    def remove(self):
        ids = docker("ps", "-aq", "--filter", self._filter).split()
        if ids:
            subprocess.run(["docker", "rm", "-f", *ids], check=False, capture_output=True, timeout=60)


class Load:
    """A client that runs, stops and describes tasks all the time, and remembers what it was promised."""

    def __init__(self, live, steady, short, rng):
        env = live.environment()
        self.ecs = boto3.session.Session().client(
            "ecs",
            endpoint_url=live.endpoint,
            region_name=env["AWS_REGION"],
            aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=3, read_timeout=10),
        )
        self._steady, self._short, self._rng = steady, short, rng
        self.steady, self.short, self.stopped, self.killed = {}, set(), set(), set()  # steady: a dict keeps its order
        self.asked = Counter()
        self.answers = Counter()
        self.wrong = []
        self.lock = threading.Lock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self):
        self._thread.start()

    def end(self):
        self._ending.set()
        self._thread.join(timeout=30)
        assert not self._thread.is_alive()

    def _work(self):
        number = 0
        while not self._ending.is_set():
            number += 1
            doing = self._rng.choice([self._run, self._run, self._stop, self._describe, self._describe, self._describe])
            try:
                doing(number)
            except Exception as error:
                self.wrong.append(repr(error))
                raise
            time.sleep(self._rng.random() * 0.3)

    def call(self, operation, **arguments):
        """The answer, or None: then nothing was promised."""
        try:
            answer = getattr(self.ecs, operation)(**arguments)
        except botocore.exceptions.ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500:
                self.wrong.append(f"{operation}: {error}")
            answer = None
        except botocore.exceptions.BotoCoreError:
            answer = None
        self.answers[operation, answer is not None] += 1
        return answer

    def alive(self):
        return [arn for arn in self.steady if arn not in self.stopped and arn not in self.killed]

    def _run(self, number):
        is_steady = len(self.alive()) < MOST_ALIVE and self._rng.random() < 0.8
        token = f"kills-{number}"
        wanted = {
            "taskDefinition": self._steady if is_steady else self._short,
            "count": self._rng.randint(1, 2),
            "clientToken": token,
            "startedBy": token,
        }
        self.asked[token] = wanted["count"]
        for _ in range(4):
            answer = self.call("run_task", **wanted)
            if answer is not None:
                arns = [task["taskArn"] for task in answer["tasks"]]
                with self.lock:
                    self.steady.update(dict.fromkeys(arns)) if is_steady else self.short.update(arns)
                return
            time.sleep(0.3)

    def _stop(self, _number):
        with self.lock:
            arns = self.alive()
            if len(arns) <= 4:
                return
            arn = self._rng.choice(arns)
            self.stopped.add(arn)
        while self.call("stop_task", task=arn, reason="enough") is None and not self._ending.is_set():
            time.sleep(0.3)

    def _describe(self, _number):
        arns = sorted((*self.steady, *self.short))
        if not arns:
            return
        some = self._rng.sample(arns, min(len(arns), 10))
        answer = self.call("describe_tasks", tasks=some)
        if answer is not None and answer["failures"]:
            self.wrong.append(f"lost: {answer['failures']}")


class Killer:
    """Kills one of each in every round, at random points of it, and looks whether anything else noticed."""

    def __init__(self, live, load, containers, rng):
        self._live, self._load, self._containers, self._rng = live, load, containers, rng
        self.kills = Counter()
        self.born = {}
        self.disturbed = []

    def round(self):
        started = time.monotonic()
        deaths = sorted((self._rng.random() * ROUND_SECONDS, name) for name in ("server", "agent", "container"))
        for at, name in deaths:
            time.sleep(max(0.0, started + at - time.monotonic()))
            self._kill_container() if name == "container" else self._kill_process(name)
        time.sleep(max(0.0, started + ROUND_SECONDS - time.monotonic()))
        self.look()
        until(lambda: health(self._live.endpoint) is not None, 60, what="the server answers again")

    def _kill_process(self, name):
        pid = until(lambda: self._pid(name), 60, what=f"the {name} runs")
        os.kill(pid, signal.SIGKILL)
        self.kills[name] += 1

    def _pid(self, name):
        pid = read_state(self._live.data_dir, "supervisor").get(name, {}).get("pid")
        try:
            os.kill(pid, 0)
        except (ProcessLookupError, TypeError):
            return None
        return pid

    def _kill_container(self):
        """One that runs and that nobody was asked to stop."""
        container_id = until(self._choose, 60, what="a container runs")
        docker("kill", "--signal", "KILL", container_id)
        self.kills["container"] += 1

    def _choose(self):
        running = {arn: state for arn, state in self._containers.inspect().items() if state["State"]["Running"]}
        with self._load.lock:
            candidates = [arn for arn in self._load.alive() if arn in running]
            if not candidates:
                return None
            arn = self._rng.choice(candidates)
            self._load.killed.add(arn)
        return running[arn]["Id"]

    def look(self):
        """Containers that nobody killed or stopped are still those that they were."""
        for arn, state in self._containers.inspect().items():
            birth = (state["Id"], state["State"]["StartedAt"], state["RestartCount"])
            is_ours = arn in self._load.killed or arn in self._load.stopped
            if not state["State"]["Running"] and arn in self.born and not is_ours:
                self.disturbed.append(f"{arn} was {self.born[arn]} and ended with {state['State']}")
            if state["State"]["Running"] and self.born.setdefault(arn, birth) != birth:
                self.disturbed.append(f"{arn} was {self.born[arn]} and is {birth}")


@pytest.fixture
def homeport(tmp_path, test_image):
    live = Live(tmp_path).up()
    yield live
    live.down()


@pytest.mark.timeout(900)  # two minutes on a machine that is free; a busy one starts processes slowly
def test_everything_when_killed_again_and_again_under_load_then_nothing_acknowledged_is_lost(homeport):
    try:
        _endure(homeport)
    except BaseException:
        print(f"replay: HOMEPORT_KILLS_SEED={SEED} .venv/bin/python -m pytest {__file__}")
        print(homeport.logs())
        raise


def _endure(live):
    rng = random.Random(SEED)
    family = f"kills-{live.port}"
    steady = live.register(family, {"name": "main", "command": ["sh", "-c", STEADY], "memory": 16})
    short = live.register(f"{family}-short", {"name": "main", "command": ["sh", "-c", SHORT], "memory": 16})
    containers, shorts = Containers(family), Containers(f"{family}-short")
    load = Load(live, steady, short, random.Random(rng.random()))
    killer = Killer(live, load, containers, rng)
    try:
        load.start()
        until(lambda: len(load.alive()) > 4, 60, what="tasks run")
        for number in range(ROUNDS):
            started = time.monotonic()
            killer.round()
            print(f"round {number}: {time.monotonic() - started:.1f} s, {len(load.alive())} alive")
        load.end()
        until(lambda: not _unsettled(load, containers, family), 180, every=0.5, what="all is as it should be")
        _check(load, killer, containers)
    finally:
        load.end()
        containers.remove()
        shorts.remove()


def _described(load):
    """Every task that was acknowledged, by ARN; None while the server does not answer."""
    arns = sorted((*load.steady, *load.short))
    tasks = {}
    for start in range(0, len(arns), 100):
        answer = load.call("describe_tasks", tasks=arns[start : start + 100])
        if answer is None:
            return None
        assert not answer["failures"], f"acknowledged and lost: {answer['failures']}"
        tasks |= {task["taskArn"]: task for task in answer["tasks"]}
    return tasks


def _unsettled(load, containers, family):
    """What is not yet as it should be, in words."""
    tasks = _described(load)
    if tasks is None:
        return ["the server does not answer"]
    alive = set(load.alive())
    lacking = [
        f"{arn} is {task['lastStatus']}, desired {task['desiredStatus']}"
        for arn, task in tasks.items()
        if task["lastStatus"] != ("RUNNING" if arn in alive else "STOPPED")
    ]
    running = {arn for arn, state in containers.inspect().items() if state["State"]["Running"]}
    listed = load.call("list_tasks", family=family, desiredStatus="RUNNING")
    if listed is None or set(listed["taskArns"]) != running or not alive <= running:
        lacking.append(f"{len(running)} containers run for {listed and len(listed['taskArns'])} tasks")
    return lacking


def _check(load, killer, containers):
    killer.look()
    tasks = _described(load)
    codes = {arn: [each.get("exitCode") for each in task["containers"]] for arn, task in tasks.items()}
    assert not load.wrong
    assert not killer.disturbed
    assert killer.kills == {"server": ROUNDS, "agent": ROUNDS, "container": ROUNDS}
    assert {arn: codes[arn] for arn in load.killed} == {arn: [137] for arn in load.killed}
    assert {arn: codes[arn] for arn in load.short} == {arn: [3] for arn in load.short}
    states = containers.inspect()
    for arn in load.stopped:  # one that was stopped before it ran has no code
        assert codes[arn] in ([7], [143], [None], [137]), codes[arn]
        assert arn not in states or not states[arn]["State"]["Running"]
    for token, most in load.asked.items():
        started = load.call("list_tasks", startedBy=token, desiredStatus="RUNNING")["taskArns"]
        started += load.call("list_tasks", startedBy=token, desiredStatus="STOPPED")["taskArns"]
        assert len(started) <= most, f"RunTask {token} started {started}"
    print(dict(killer.kills), dict(load.answers), f"{len(load.steady)} steady, {len(load.short)} short")
