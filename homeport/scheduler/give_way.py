"""Which tasks would have to go so that others fit in their places. Pure, but for the fleet while it is asked.

Not every task that goes makes room: the others may need more than it has, or an agent, attribute or constraint that its
instance lacks. So instance by instance the candidates are taken away in thought until one more of the wanted tasks
fits.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from homeport.model.task import Task
from homeport.scheduler.constraints import Needs, needs_of, obstacles
from homeport.scheduler.fleet import Fleet, Host
from homeport.scheduler.place import Wanted


class Candidate(NamedTuple):
    """A task with desired status RUNNING. `is_counted`: giving it up costs one of the healthy tasks to spare."""

    task: Task
    is_counted: bool


class Portion(NamedTuple):
    """Candidates of one instance that make room for `gain` tasks if all of them go."""

    candidates: tuple[Candidate, ...]
    gain: int

    @property
    def cost(self) -> int:
        return sum(each.is_counted for each in self.candidates)


def giving_way(fleet: Fleet, wanted: Wanted, candidates: Iterable[Candidate], spare: int) -> list[Task]:
    """Tasks that make room for up to `wanted.count`, the first candidates first; at most `spare` counted ones."""
    needs = needs_of(wanted.resources, wanted.constraints, wanted.required_attributes, wanted.group)
    by_host: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        by_host.setdefault(candidate.task.container_instance_arn or "", []).append(candidate)
    chosen: list[Task] = []
    missing = wanted.count
    for arn, own in by_host.items():
        host = fleet.host(arn)
        if host is None or host.row is None or host.row.status != "ACTIVE":
            continue
        for portion in _portions(host, needs, wanted, own):
            if missing <= 0 or portion.cost > spare:
                break
            chosen += [each.task for each in portion.candidates]
            spare -= portion.cost
            missing -= portion.gain
    return chosen


def _portions(host: Host, needs: Needs, wanted: Wanted, candidates: Sequence[Candidate]) -> list[Portion]:
    portions: list[Portion] = []
    gone: list[Candidate] = []
    start = gained = 0
    try:
        for candidate in candidates:
            host.add(candidate.task.resources, -1)
            host.add_group(candidate.task.group or "", -1)
            gone.append(candidate)
            gain = _fill(host, needs, wanted, wanted.count - gained)
            if gain:
                portions.append(Portion(tuple(gone[start:]), gain))
                start, gained = len(gone), gained + gain
    finally:
        for _ in range(gained):
            host.add(wanted.resources, -1)
            host.add_group(wanted.group, -1)
        for candidate in gone:
            host.add(candidate.task.resources, 1)
            host.add_group(candidate.task.group or "", 1)
    return portions


def _fill(host: Host, needs: Needs, wanted: Wanted, most: int) -> int:
    """How many of the wanted tasks fit on the host now (at most `most`), all entered there."""
    count = 0
    while count < most and next(obstacles(needs, host), None) is None:
        host.add(wanted.resources, 1)
        host.add_group(wanted.group, 1)
        count += 1
    return count
