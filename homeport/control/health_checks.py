"""Looks at every target of a load balancer at its interval, and writes down when its health has changed.

Key: a target's key. The counts of successes and failures live in memory: after a restart they begin anew, with the
states that the rows have. A look starts a probe when one is due and ends; the probe's outcome wakes the key again. So
a target that does not answer holds up nobody, and a probe that changes nothing writes nothing.
"""

import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct

from homeport.base.log import get_logger
from homeport.base.supervise import Supervisor
from homeport.control.runner import FORGET, Reconciler, Wake, Waker
from homeport.drivers.probe import Answered, Disturbed, Failed, Outcome, Probe, Prober, TimedOut
from homeport.model.load_balancer import Listener, Rule, Target, TargetGroup
from homeport.model.target_health import (
    FAILED,
    INTERNAL,
    INVALID_STATE,
    TIMED_OUT,
    HealthCheck,
    Tally,
    Verdict,
    answered,
    health_check_of,
    initial,
    judged,
    next_check,
    settled,
    unused,
)
from homeport.store.schema import Tables
from homeport.store.store import Tx

log = get_logger("health")
MOST_PROBES = 256
_GROUP = "group "
_JITTER = 0.05
_AFTER_DISTURBANCE = 1.0


class Crashed(Struct, frozen=True):
    """The prober itself failed."""


class Due(Struct, frozen=True):
    """A probe to start now."""

    key: str
    probe: Probe


@dataclass
class _Watch:
    """A target under observation. `since`: its first check; `counts_from`: when a failure counts again.

    `due_at`: the next check; None while one is under way, until its `outcome` is there.
    """

    registered_at: float
    since: float
    counts_from: float
    due_at: float | None
    tally: Tally = field(default_factory=Tally)
    outcome: "Outcome | Crashed | None" = None


Done = Callable[[Outcome | Crashed], None]


class ProbePool:
    """Runs probes, a limited number at a time; the others wait in line."""

    def __init__(self, prober: Prober, supervisor: Supervisor, most: int = MOST_PROBES) -> None:
        self._prober = prober
        self._supervisor = supervisor
        self._free = most
        self._waiting: deque[tuple[Probe, Done]] = deque()

    def start(self, probe: Probe, done: Done) -> None:
        """`done` is called with the outcome, once."""
        self._waiting.append((probe, done))
        if self._free:
            self._free -= 1
            self._supervisor.spawn("probe", self._work())

    async def _work(self) -> None:
        while self._waiting:
            probe, done = self._waiting.popleft()
            done(await self._outcome(probe))
        self._free += 1

    async def _outcome(self, probe: Probe) -> Outcome | Crashed:
        try:
            return await self._prober.probe(probe)
        except Exception as error:
            log.exception("probe_crashed", host=probe.host, port=probe.port, error=f"{type(error).__name__}: {error}")
            return Crashed()


class HealthChecks(Reconciler):
    """`chance` spreads checks that would otherwise come all at once."""

    name = "health-checks"
    workers = 2

    def __init__(self, prober: Prober, supervisor: Supervisor, chance: random.Random, most: int = MOST_PROBES) -> None:
        self.wakes = {
            "target": lambda target: (target.key,),
            "target_group": lambda group: (_GROUP + group.arn,),
            "listener": self._groups_of_listener,
            "rule": self._groups_of_rule,
        }
        self._pool = ProbePool(prober, supervisor, most)
        self._chance = chance
        self._watches: dict[str, _Watch] = {}
        self._due: dict[str, Probe] = {}
        self._used: frozenset[str] | None = None
        self._wake: Waker = lambda _: None

    def listen(self, wake: Waker) -> None:
        self._wake = wake

    def _groups_of_listener(self, listener: Listener) -> Iterable[str]:
        self._used = None
        return [_GROUP + arn for arn in target_groups_in(listener.default_actions)]

    def _groups_of_rule(self, rule: Rule) -> Iterable[str]:
        self._used = None
        return [_GROUP + arn for arn in target_groups_in(rule.actions)]

    def step(self, tx: Tx, key: str, now: float) -> Wake:
        if key.startswith(_GROUP):
            for target_key in tx.targets.keys_by(target_group_arn=key.removeprefix(_GROUP)):
                self._wake(target_key)
            return FORGET
        self._due.pop(key, None)
        target = tx.targets.get(key)
        group = tx.target_groups.get(target.target_group_arn) if target is not None else None
        if target is None or group is None or target.drain_until is not None:
            self._watches.pop(key, None)
            return FORGET
        check = health_check_of(group)
        host = self._host(tx, group, target)
        if not self._is_used(tx, group.arn) or host is None:
            self._watches.pop(key, None)
            tx.targets.put(unused(target) if host is not None else unused(target, INVALID_STATE))
            return Wake(at=now + check.interval if host is None else None)
        target = initial(target) if target.state == "unused" else target
        watch = self._watch(target, check, now)
        if watch.outcome is not None:
            target = self._judge(watch, target, check, now)
        target = settled(target, check, now)
        tx.targets.put(target)
        at = self._next(watch, target, check, host, now).at
        return Wake(at=min((each for each in (at, target.unhealthy_at) if each is not None), default=None))

    def _watch(self, target: Target, check: HealthCheck, now: float) -> _Watch:
        """A new target is checked at once; one whose state is known already some time within its interval."""
        watch = self._watches.get(target.key)
        if watch is None or watch.registered_at != target.registered_at:
            wait = 0.0 if target.state == "initial" else self._chance.random() * check.interval
            watch = _Watch(target.registered_at, now, now + check.interval, now + wait)
            self._watches[target.key] = watch
        return watch

    def _judge(self, watch: _Watch, target: Target, check: HealthCheck, now: float) -> Target:
        outcome, watch.outcome = watch.outcome, None
        if outcome is None or isinstance(outcome, Disturbed):
            watch.due_at = now + _AFTER_DISTURBANCE
            return target
        verdict = verdict_of(check, outcome)
        counts = target.state != "initial" or now >= watch.counts_from
        if counts:
            watch.counts_from = now + check.interval
        after, watch.tally = judged(target, watch.tally, verdict, check, now, counts=counts)
        if after.state != target.state:
            log.info("target_health", target=target.key, state=after.state, reason=after.reason, was=target.state)
        jitter = 1 + _JITTER * (2 * self._chance.random() - 1)
        watch.due_at = now + (next_check(check, after, watch.since, now) - now) * jitter
        return after

    def _next(self, watch: _Watch, target: Target, check: HealthCheck, host: str, now: float) -> Wake:
        if watch.due_at is None:
            return FORGET
        watch.due_at = min(watch.due_at, now + check.interval * (1 + _JITTER))
        if now < watch.due_at:
            return Wake(at=watch.due_at)
        watch.due_at = None
        self._due[target.key] = Probe(
            protocol=check.protocol,
            host=host,
            port=check.port or target.port,
            timeout=check.timeout,
            path=check.path,
            version=check.version,
        )
        return FORGET

    def actions(self, read: Tables, key: str) -> Sequence[Any]:  # noqa: ARG002 - what is due was found by `step`
        probe = self._due.pop(key, None)
        return () if probe is None else (Due(key, probe),)

    async def act(self, action: Due) -> None:
        watch = self._watches.get(action.key)
        if watch is not None:
            self._pool.start(action.probe, lambda outcome: self._came_back(action.key, watch, outcome))

    def _came_back(self, key: str, watch: _Watch, outcome: Outcome | Crashed) -> None:
        """An outcome for a target that has been registered anew meanwhile is of no interest."""
        if self._watches.get(key) is watch:
            watch.outcome = outcome
            self._wake(key)

    def _is_used(self, tables: Tables, group_arn: str) -> bool:
        if self._used is None:
            self._used = used_groups(tables)
        return group_arn in self._used

    def _host(self, tables: Tables, group: TargetGroup, target: Target) -> str | None:
        """None for an instance that is gone."""
        if group.target_type != "instance":
            return target.id
        for instance in tables.container_instances.by(ec2_instance_id=target.id):
            if instance.status != "INACTIVE":
                return instance.address
        return None


def used_groups(tables: Tables) -> frozenset[str]:
    """ARNs of the target groups that a listener or a rule names; a weight of 0 counts."""
    used: set[str] = set()
    for listener in tables.listeners:
        used |= target_groups_in(listener.default_actions)
    for rule in tables.rules:
        used |= target_groups_in(rule.actions)
    return frozenset(used)


def target_groups_in(actions: Iterable[dict[str, Any]]) -> set[str]:
    """The target groups that actions (by their wire names) forward to."""
    found: set[str] = set()
    for action in actions:
        entries = (action.get("ForwardConfig") or {}).get("TargetGroups") or (action,)
        found.update(arn for entry in entries if (arn := entry.get("TargetGroupArn")))
    return found


def verdict_of(check: HealthCheck, outcome: Answered | TimedOut | Failed | Crashed) -> Verdict:
    """What a probe's outcome means to the group's settings."""
    if isinstance(outcome, Answered):
        return answered(check, outcome.code)
    if isinstance(outcome, TimedOut):
        return TIMED_OUT
    return INTERNAL if isinstance(outcome, Crashed) else FAILED
