"""Which tasks a service gives up first when it has too many. Pure.

Without a strategy, and with `spread`, the fullest zone (or whatever attribute is spread over) gives up a task, there
the fullest instance, and so on: what remains is spread as well as it can be. With `binpack` the instance with most
resources left is emptied first. `random` and ties: at random. Source: Developer Guide, "How Amazon ECS places tasks",
scale-in.

Taking one from the fullest pile again and again is the same as taking items from the top down: number the items of
every pile from the bottom and sort by that number. Piles within piles: order each pile first.
"""

import random
from collections.abc import Callable, Sequence

from homeport.model.task import Task
from homeport.scheduler.fleet import Fleet, Host
from homeport.shapes import ecs as shapes

ZONE = "attribute:ecs.availability-zone"
DEFAULT_STRATEGY = (
    shapes.PlacementStrategy(type="spread", field=ZONE),
    shapes.PlacementStrategy(type="spread", field="instanceId"),
)
"""How services are placed, and scaled in, if they say nothing: over the zones, then over the instances of a zone."""


def give_up_order(
    tasks: Sequence[Task], strategies: Sequence[shapes.PlacementStrategy], fleet: Fleet, rng: random.Random
) -> list[Task]:
    """The tasks, the first to go first."""
    shuffled = sorted(tasks, key=lambda task: task.arn)
    rng.shuffle(shuffled)
    hosts = {task.arn: fleet.host(task.container_instance_arn or "") for task in shuffled}
    return _ordered(shuffled, strategies, hosts)


def _ordered(
    tasks: list[Task], strategies: Sequence[shapes.PlacementStrategy], hosts: dict[str, Host | None]
) -> list[Task]:
    if not strategies or len(tasks) < 2 or strategies[0].type == "random":
        return tasks
    strategy, rest = strategies[0], strategies[1:]
    if strategy.type == "binpack":
        inner = _ordered(tasks, rest, hosts)
        return sorted(inner, key=lambda task: -_free(hosts[task.arn], strategy.field or ""))
    return _from_the_top(tasks, _pile_of(strategy.field or "", hosts), rest, hosts)


def _from_the_top(
    tasks: list[Task],
    pile_of: Callable[[Task], str],
    rest: Sequence[shapes.PlacementStrategy],
    hosts: dict[str, Host | None],
) -> list[Task]:
    piles: dict[str, list[Task]] = {}
    for task in tasks:
        piles.setdefault(pile_of(task), []).append(task)
    numbered = [
        (len(pile) - index, task) for pile in piles.values() for index, task in enumerate(_ordered(pile, rest, hosts))
    ]
    numbered.sort(key=lambda pair: -pair[0])
    return [task for _, task in numbered]


def _pile_of(field: str, hosts: dict[str, Host | None]) -> Callable[[Task], str]:
    if field in ("instanceId", "host"):
        return lambda task: task.container_instance_arn or ""
    name = field.removeprefix("attribute:")

    def value(task: Task) -> str:
        host = hosts[task.arn]
        return (host.row.attribute(name) or "") if host is not None and host.row is not None else ""

    return value


def _free(host: Host | None, field: str) -> int:
    if host is None:
        return 0
    return host.free_memory if field.lower() == "memory" else host.free_cpu
