"""How tasks reach the task endpoint at 169.254.170.2:80 without taking port 80 away from them.

A socket that listens on 169.254.170.2:80 would keep Docker from publishing port 80 of a container on all addresses. So
the agent listens on port 51679 of that address (added to the loopback interface, which needs no more than that for
bridge, host and dockerd itself to reach it) and the packet filter sends port 80 there. Where the filter cannot be
changed, port 80 is taken after all, and the log says what that costs. Everything here is tried again until it works;
the agent runs tasks meanwhile.
"""

import asyncio
import errno
import shutil
import socket

from aiohttp import web

from homeport.base.clock import Clock
from homeport.base.listening import inherited_socket, listening_socket
from homeport.base.log import get_logger

log = get_logger("endpoints")
WELL_KNOWN_PORT = 80
REDIRECTED_PORT = 51679
_RETRY_SECONDS = 10.0
_RULES_CHECK_SECONDS = 30.0
_REQUEST_SECONDS = 5.0


async def serve_app(app: web.Application, name: str, address: str, port: int, clock: Clock) -> None:
    """Listen for ever, on the socket handed down under this name if there is one. A taken port is tried again."""
    while True:
        try:
            await _serve_once(app, inherited_socket(name, port) or listening_socket(address, port), name)
        except OSError as error:
            log.warning("port_unavailable", endpoint=name, address=address, port=port, error=str(error))
            await clock.sleep(_RETRY_SECONDS)


async def serve_task_endpoint(app: web.Application, address: str, port: int, clock: Clock) -> None:
    """`serve_app` for the task endpoint: with the address added, and port 80 redirected where possible."""
    if port != WELL_KNOWN_PORT:
        await with_address(address)
        await serve_app(app, "task", address, port, clock)
        return
    while True:
        await with_address(address)
        redirected = await redirect(address)
        if not redirected:
            log.warning(
                "redirect_unavailable",
                address=address,
                remedy="run the agent as root with iptables installed; until then no task can publish host port 80",
            )
        try:
            listener = listening_socket(address, REDIRECTED_PORT if redirected else port)
        except OSError as error:
            log.warning(
                "task_endpoint_unavailable",
                address=address,
                error=str(error),
                remedy=f"ip addr add {address}/32 dev lo, and one agent per host",
            )
            await clock.sleep(_RETRY_SECONDS)
            continue
        async with asyncio.TaskGroup() as group:
            if redirected:
                group.create_task(_keep_redirected(address, clock))
            group.create_task(_serve_once(app, listener, "task"))


async def _serve_once(app: web.Application, listener: socket.socket, name: str) -> None:
    """Until cancelled; closes the listener. A request whose caller has gone is given up."""
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1)
    try:
        await runner.setup()
        await web.SockSite(runner, listener).start()
        address, port = listener.getsockname()[:2]
        log.info("endpoint_listening", endpoint=name, address=address, port=port)
        await asyncio.get_running_loop().create_future()
    finally:
        await runner.cleanup()
        listener.close()


async def with_address(address: str) -> None:
    """Add the address to the loopback interface if this host has it nowhere."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
        else:
            return
    problem = await _run("ip", "addr", "add", f"{address}/32", "dev", "lo")
    if problem is not None:
        log.warning("address_unavailable", address=address, error=problem, remedy=f"ip addr add {address}/32 dev lo")


def _rules(address: str) -> tuple[tuple[str, ...], ...]:
    """Chain, match and target, for packets from containers and from this host."""
    match = ("-d", f"{address}/32", "-p", "tcp", "-m", "tcp", "--dport", str(WELL_KNOWN_PORT))
    target = ("-j", "DNAT", "--to-destination", f"{address}:{REDIRECTED_PORT}")
    return tuple((chain, *match, *target) for chain in ("PREROUTING", "OUTPUT"))


async def redirect(address: str) -> bool:
    """Make sure of the rules. They come first: Docker's own would send port 80 to a container that publishes it."""
    for chain, *rule in _rules(address):
        if await _run("iptables", "-w", "-t", "nat", "-C", chain, *rule) is None:
            continue
        problem = await _run("iptables", "-w", "-t", "nat", "-I", chain, "1", *rule)
        if problem is not None:
            log.debug("iptables_refused", error=problem)
            return False
    return True


async def unredirect(address: str) -> None:
    """Take the rules away again."""
    for chain, *rule in _rules(address):
        await _run("iptables", "-w", "-t", "nat", "-D", chain, *rule)


async def _keep_redirected(address: str, clock: Clock) -> None:
    """Another program may flush the packet filter's tables; this puts the rules back."""
    while True:
        await clock.sleep(_RULES_CHECK_SECONDS)
        await redirect(address)


async def _run(program: str, *arguments: str) -> str | None:
    """Run a program of the host; what went wrong, or None."""
    path = shutil.which(program, path="/usr/sbin:/sbin:/usr/bin:/bin")
    if path is None:
        return f"{program} is not installed"
    process = await asyncio.create_subprocess_exec(
        path, *arguments, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(_REQUEST_SECONDS):
            _, problem = await process.communicate()
    except TimeoutError:
        process.kill()
        return f"{program} did not answer"
    return None if process.returncode == 0 else problem.decode(errors="replace").strip() or "failed"
