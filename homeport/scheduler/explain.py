"""Why a task is where it is not: for every container instance all the reasons, and one sentence that sums them up."""

import random
from collections import Counter
from typing import NamedTuple

from homeport.model.container_instance import ContainerInstance
from homeport.model.resources import Resources
from homeport.scheduler.constraints import DISTINCT_INSTANCE, MEMBER_OF, Needs, Obstacle, obstacles
from homeport.scheduler.fleet import Fleet
from homeport.scheduler.place import Wanted, tried

_SUMMARIES = {
    "RESOURCE:CPU": "too few free CPU units",
    "RESOURCE:MEMORY": "too little free memory",
    "RESOURCE:GPU": "too few free GPUs",
    "RESOURCE:PORTS": "a host port that is taken",
    "ATTRIBUTE": "no required attribute",
    "AGENT": "no connected agent",
    MEMBER_OF: "no place in the memberOf constraint",
    DISTINCT_INSTANCE: "a task of the group already",
}


class Explained(NamedTuple):
    """An instance, what it has left, and what keeps the task off it (nothing: it can take one)."""

    instance: ContainerInstance
    remaining: Resources
    obstacles: tuple[Obstacle, ...]


class Explanation(NamedTuple):
    """`placeable_count` of the `wanted_count` tasks fit now; the reasons are those for the next one."""

    wanted_count: int
    placeable_count: int
    instances: tuple[Explained, ...]
    summary: str


def explain(fleet: Fleet, wanted: Wanted, rng: random.Random) -> Explanation:
    """A dry run of `place`. Looks at every instance of the cluster, so it is for people, not for schedulers.

    When all fit, reasons are against the fleet as it is; when some do not, against the fleet with those that do.
    """
    with tried(fleet, wanted, rng) as (chosen, needs):
        placeable = len(chosen)
        explained = _every_instance(fleet, wanted.cluster_arn, needs)
    if placeable == wanted.count:
        explained = _every_instance(fleet, wanted.cluster_arn, needs)
    return Explanation(wanted.count, placeable, explained, _summary(wanted.count, placeable, explained))


def _every_instance(fleet: Fleet, cluster_arn: str, needs: Needs) -> tuple[Explained, ...]:
    return tuple(
        Explained(instance, fleet.free(instance.arn), _all_obstacles(fleet, instance, needs))
        for instance in fleet.instances(cluster_arn)
    )


def _all_obstacles(fleet: Fleet, instance: ContainerInstance, needs: Needs) -> tuple[Obstacle, ...]:
    host = fleet.host(instance.arn)
    found = tuple(obstacles(needs, host)) if host else ()
    if instance.status != "ACTIVE":
        return (Obstacle(instance.status, f"is {instance.status} and takes no new tasks"), *found)
    return found


def _summary(wanted: int, placeable: int, explained: tuple[Explained, ...]) -> str:
    if not explained:
        return "No Container Instances were found in your cluster."
    able = sum(not each.obstacles for each in explained)
    total = len(explained)
    if placeable == wanted:
        tasks = "The task" if wanted == 1 else f"All {wanted} tasks"
        return f"{tasks} can be placed now; {able} of {_instances(total)} can take one."
    counts = Counter(obstacle.reason for each in explained for obstacle in dict.fromkeys(each.obstacles))
    reasons = ", ".join(f"{count} with {_in_words(reason)}" for reason, count in counts.most_common())
    start = "No task can be placed" if not placeable else f"Only {placeable} of {wanted} tasks can be placed"
    nearest = _closest(explained)
    advice = f" The closest is {nearest.instance.id}: {_sentence(nearest.obstacles)}." if nearest else ""
    return f"{start}: of {_instances(total)}, {reasons}.{advice}"


def _instances(count: int) -> str:
    return "1 container instance" if count == 1 else f"{count} container instances"


def _in_words(reason: str) -> str:
    return _SUMMARIES.get(reason, f"the status {reason}")


def _sentence(found: tuple[Obstacle, ...]) -> str:
    return "; ".join(obstacle.detail for obstacle in found)


def _closest(explained: tuple[Explained, ...]) -> Explained | None:
    """The ACTIVE instance with the fewest obstacles; rather one that has not done its part already."""
    active = [each for each in explained if each.instance.status == "ACTIVE" and each.obstacles]
    return min(active, key=lambda each: (_has_one(each), len(each.obstacles)), default=None)


def _has_one(explained: Explained) -> bool:
    """Whether it has a task of the group, and may have no second one."""
    return any(obstacle.reason == DISTINCT_INSTANCE for obstacle in explained.obstacles)
