"""Has the data plane serve what the rows of load balancers say, and tells each row how that went.

There is one data plane, so there is one key. What it refuses is found out and left as it was, so that one load
balancer's fault (a port that something else holds, a pattern it cannot take) never keeps the others from changing; the
row of the one at fault carries the data plane's own words. A refused part is tried again every ten seconds, since the
cause may lie outside the rows.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from homeport.base.errors import Permanent
from homeport.base.log import get_logger
from homeport.control.balancer_configuration import Surroundings, configurations, whole
from homeport.control.runner import FORGET, Reconciler, Wake, Waker
from homeport.control.served import Served
from homeport.drivers.balancer import Balancer, Configuration, Rejected
from homeport.drivers.network import Addresses, HostNames
from homeport.store.schema import Tables
from homeport.store.store import Tx

log = get_logger("balancer")
_KEY = "data plane"
_RETRY_SECONDS = 10.0
_CHECK_SECONDS = 60.0
Parts = Mapping[str, Configuration]


class Apply(Struct, frozen=True):
    """Serve these parts (by load balancer ARN), each at its address, found by its name."""

    parts: dict[str, Configuration]
    addresses: dict[str, str]
    names: dict[str, str]
    now: float
    version: int


class Refusal(Struct, frozen=True):
    """A part that the data plane did not take, in whose words, and until when it is not offered again."""

    part: Configuration
    text: str
    until: float


class BalancerReconciler(Reconciler):
    """Key: the data plane. What it serves is known in memory and found out again whenever it connects."""

    name = "balancer"
    wakes = dict.fromkeys(
        ("load_balancer", "target_group", "target", "listener", "rule", "certificate"), lambda _row: (_KEY,)
    )

    def __init__(
        self,
        balancer: Balancer,
        addresses: Addresses,
        names: HostNames,
        around: Surroundings,
        progress: Served | None = None,
    ) -> None:
        """`progress` is told how far the data plane has come."""
        self._balancer = balancer
        self._addresses = addresses
        self._names = names
        self._around = Surroundings(open_key=_remembering(around.open_key), log_dir=around.log_dir)
        self._served: dict[str, Configuration] = {}
        self._refused: dict[str, Refusal] = {}
        self._told: Apply | None = None
        self._connections = 0
        self._now = 0.0
        self._version = -1
        self._progress = progress or Served()

    def seeds(self) -> tuple[str, ...]:
        """Looked at even without any load balancer: a data plane that went on has to be told that there is none."""
        return (_KEY,)

    def listen(self, wake: Waker) -> None:
        def connected() -> None:
            self._served, self._refused, self._told = {}, {}, None
            self._connections += 1
            wake(_KEY)

        self._balancer.on_connected(connected)

    def step(self, tx: Tx, _key: str, now: float) -> Wake:
        """Nothing to decide; looked at again in time to try what was refused, and to find what others took away."""
        self._now = now
        self._version = tx.version - 1
        if not len(tx.load_balancers):
            return FORGET
        is_waiting = self._refused or any(row.state == "failed" for row in tx.load_balancers)
        return Wake(at=now + (_RETRY_SECONDS if is_waiting else _CHECK_SECONDS))

    def actions(self, read: Tables, _key: str) -> Sequence[Any]:
        if not self._balancer.is_connected():
            return ()  # its connecting wakes the key
        rows = list(read.load_balancers)
        wanted = Apply(
            parts=configurations(read, self._around),
            addresses={row.arn: row.address for row in rows},
            names={row.dns_name.lower(): row.address for row in rows},
            now=self._now,
            version=self._version,
        )
        told = self._told
        is_news = (
            told is None
            or replace(wanted, now=told.now, version=told.version) != told
            or self._now - told.now >= _RETRY_SECONDS
        )
        if not is_news:
            self._progress.through(wanted.version, self._progress.behind)
        return (wanted,) if is_news else ()

    async def act(self, action: Apply) -> dict[str, str | None]:
        """What went wrong with each load balancer (None: nothing). Raises Transient while the data plane is away."""
        connections = self._connections
        if action.addresses:
            await self._balancer.prepare()  # while they are provisioning, rather than when their listeners come
        missing = await self._addresses.add(action.addresses.values())
        problems: dict[str, str | None] = {arn: missing.get(address) for arn, address in action.addresses.items()}
        offered = {arn: Configuration() if problems[arn] else part for arn, part in action.parts.items()}
        problems |= await self._serve(offered, action.now)
        self._progress.through(action.version, [arn for arn, problem in problems.items() if problem is not None])
        await self._addresses.keep_only(action.addresses.values())
        await self._names.publish(action.names)
        self._told = action if connections == self._connections else None
        return problems

    async def _serve(self, wanted: Parts, now: float) -> dict[str, str | None]:
        """Serve all that the data plane takes; the texts of what it refuses."""
        current = {arn: self._acceptable(arn, part, now) for arn, part in wanted.items()}
        pending: list[str] = []
        while True:
            try:
                await self._apply(current)
                break
            except Rejected as error:
                suspects = self._suspects(current, error)
                if len(suspects) == 1:
                    self._note(suspects[0], wanted[suspects[0]], error, now)
                else:
                    pending += suspects
                current |= {arn: self._former(arn, current) for arn in suspects}
        for arn in pending:
            try:
                await self._apply({**current, arn: wanted[arn]})
            except Rejected as error:
                self._note(arn, wanted[arn], error, now)
            else:
                current[arn] = wanted[arn]
        self._refused = {arn: refusal for arn, refusal in self._refused.items() if wanted.get(arn) == refusal.part}
        return {arn: refusal.text for arn, refusal in self._refused.items()}

    def _acceptable(self, arn: str, part: Configuration, now: float) -> Configuration:
        """The part, or what is served of it while it is known to be refused."""
        refusal = self._refused.get(arn)
        if refusal is None or refusal.part != part or now >= refusal.until:
            self._refused.pop(arn, None)
            return part
        return self._served.get(arn, Configuration())

    def _suspects(self, current: Parts, error: Rejected) -> list[str]:
        """Whose part may be at fault: it holds what the data plane names. Raises Permanent when nothing can be blamed."""
        changed = [arn for arn, part in current.items() if part not in (self._served.get(arn), Configuration())]
        named = [arn for arn in changed if _ids(current[arn]) & set(error.ids)]
        suspects = named or changed
        if not suspects:
            suspects = [arn for arn, part in current.items() if part != Configuration()]
        if not suspects:
            raise Permanent(f"the data plane refuses even an empty configuration: {error.text}")
        return suspects

    def _former(self, arn: str, current: Parts) -> Configuration:
        """What to fall back to: what was served before, unless that is just what was refused."""
        served = self._served.get(arn, Configuration())
        return Configuration() if current[arn] == served else served

    def _note(self, arn: str, part: Configuration, error: Rejected, now: float) -> None:
        log.warning("data_plane_refuses", load_balancer=arn, error=error.text)
        self._refused[arn] = Refusal(part, error.text, now + _RETRY_SECONDS)

    async def _apply(self, parts: dict[str, Configuration]) -> None:
        await self._balancer.apply(whole(parts.values()))
        self._served = dict(parts)

    def record(self, tx: Tx, _key: str, results: Sequence[Any]) -> None:
        """States as ELBv2 has them: a refused change leaves a load balancer active_impaired, a refused start failed."""
        for problems in results:
            for arn, problem in problems.items():
                row = tx.load_balancers.get(arn)
                if row is None:
                    continue
                is_serving = bool(self._served.get(arn, Configuration()).listeners)
                state = "active" if problem is None else "active_impaired" if is_serving else "failed"
                if (row.state, row.state_reason) != (state, problem):
                    tx.load_balancers.put(replace(row, state=state, state_reason=problem))


def _ids(part: Configuration) -> set[str]:
    """The names under which the data plane may speak of a part; a TCP_UDP listener is two of its listeners."""
    listeners = {f"{item.id}{suffix}" for item in part.listeners for suffix in ("", "/tcp", "/udp")}
    return listeners | {group.id for group in part.target_groups}


def _remembering(open_key: Callable[[str], str | None]) -> Callable[[str], str | None]:
    """Keys are opened once, not at every look."""
    known: dict[str, str | None] = {}

    def opened(sealed: str) -> str | None:
        if sealed not in known:
            known[sealed] = open_key(sealed)
        return known[sealed]

    return opened
