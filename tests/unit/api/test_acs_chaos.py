"""The agent link under random crashes, partitions, lost answers and restarts of either side, many seeds.

Whatever happens, once it stops happening: the agent runs exactly the tasks that should run, every stopped task is
STOPPED on both sides, no task was started after its STOPPED report, and numbers of manifests only rose.
"""

import random

import pytest

from homeport.model.status import DesiredStatus, TaskStatus
from homeport.model.task_definition import TaskDefinition
from homeport.model.task_report import apply_report
from homeport.shapes import acs
from homeport.shapes import ecs as shapes
from tests.control_plane import DEFINITION, ByTheBook, Plane, a_definition, a_task
from tests.sim.loop import run_virtually


class Reporting(ByTheBook):
    """Reports what it runs, a little later, by the store's own rule; sometimes forgets to acknowledge."""

    def __init__(self, plane, chance):
        super().__init__(plane)
        self.chance = chance
        self.ended = set()
        self.timelines = []

    def _on_PayloadMessage(self, message):
        for task in message.tasks:
            assert task.desired_status == "STOPPED" or task.arn not in self.ended, "started after STOPPED was reported"
        self.acknowledges = self.chance.random() > 0.3
        yield from super()._on_PayloadMessage(message)

    def _on_TaskManifestMessage(self, message):
        assert not self.timelines or message.timeline > self.timelines[-1]
        self.timelines.append(message.timeline)
        yield from super()._on_TaskManifestMessage(message)

    def report(self):
        for arn, desired in self.running.items():
            task = self.plane.store.read.tasks.get(arn)
            if task is None or task.is_stopped or self.chance.random() < 0.3:
                continue
            change = shapes.SubmitTaskStateChangeRequest(task=arn, status=desired)
            self.plane.store.update(lambda tx, task=task, change=change: tx.tasks.put(apply_report(task, change, 1.0)))
            if desired == "STOPPED":
                self.ended.add(arn)

    @property
    def is_connected(self):
        return self.socket is not None and self.socket.closed_with is None


async def misfortune(plane, agent, chance, number):
    kind = chance.choice(["run", "run", "run", "stop", "drop", "restart", "crash", "wait", "report", "report"])
    if kind == "run":
        numbers = range(number * 100, number * 100 + chance.randint(1, 12))
        plane.put(*(a_task(each, credentials_id=f"credentials-{each}") for each in numbers))
    elif kind == "stop":
        live = [task for task in plane.store.read.tasks if task.desired_status is DesiredStatus.RUNNING]
        if live:
            plane.stop(int(chance.choice(live).id, 16))
    elif kind == "drop" and agent.is_connected:
        await agent.lose_connection()
    elif kind == "restart":
        await plane.restart()
    elif kind == "crash" and agent.is_connected:
        await agent.lose_connection()
        agent.crash()
    elif kind == "wait":
        await plane.clock.sleep(chance.random() * 40)
    elif kind == "report":
        agent.report()
    await plane.clock.sleep(chance.random() * 0.02)
    if not agent.is_connected and chance.random() < 0.6:
        await agent.connect()


@pytest.mark.parametrize("seed", range(12))
def test_link_when_everything_fails_at_random_then_both_sides_agree_in_the_end(seed):
    async def main(clock):
        chance = random.Random(seed)
        plane = Plane(clock, seed, instance_lost_after=1e9)
        agent = Reporting(plane, chance)
        definition = a_definition(task_role_arn="arn:aws:iam::123456789012:role/app")
        plane.put(TaskDefinition(arn=DEFINITION, family="web", revision=1, definition=definition))
        for number in range(60):
            await misfortune(plane, agent, chance, number)
        for _ in range(40):
            if not agent.is_connected:
                await agent.connect()
            agent.report()
            await clock.sleep(60)
        tasks = list(plane.store.read.tasks)
        for task in tasks:
            wanted = TaskStatus.RUNNING if task.desired_status is DesiredStatus.RUNNING else TaskStatus.STOPPED
            assert task.last_status is wanted
            if wanted is TaskStatus.RUNNING:
                assert agent.running[task.arn] == "RUNNING"
        assert {arn for arn, desired in agent.running.items() if desired == "RUNNING"} == {
            task.arn for task in tasks if task.desired_status is DesiredStatus.RUNNING
        }
        running = [task for task in tasks if not task.is_stopped]
        assert {task.credentials_id for task in running} <= set(agent.credentials)
        assert plane.instance().agent_connected
        assert agent.of(acs.TaskManifestMessage)
        await plane.close()

    run_virtually(main, seed)
