"""The resolver of tasks: load balancers' names by arithmetic, everything else by the host's resolvers."""

import asyncio
import contextlib
import socket

import dns.message
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.agent.dns import DnsServer, HostResolvers, address_of, nameservers, own_answer
from homeport.base.clock import SystemClock

NAME = "web-2887712778.us-east-1.elb.homeport.internal."


@given(st.integers(0, 2**32 - 1), st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True))
def test_name_when_made_of_any_address_then_it_gives_that_address(number, name):
    address = ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))
    assert address_of(f"{name}-{number:010d}.eu-west-1.elb.homeport.internal.") == address


@pytest.mark.parametrize(
    "name",
    [
        "example.com.",
        "web.us-east-1.elb.homeport.internal.",
        "web-9999999999.us-east-1.elb.homeport.internal.",
        "web-123.x.elb.homeport.internal.",
    ],
)
def test_name_when_no_load_balancers_then_no_address(name):
    assert address_of(name) is None


def asked(name, kind="A"):
    answer = own_answer(dns.message.make_query(name, kind))
    return answer and (answer.rcode(), [str(item) for rrset in answer.answer for item in rrset])


def test_answer_when_asked_for_a_load_balancer_then_its_address_whatever_the_case():
    assert asked(NAME.upper()) == (dns.rcode.NOERROR, ["172.31.0.10"])
    assert asked("internal-" + NAME) == (dns.rcode.NOERROR, ["172.31.0.10"])
    assert asked("dualstack." + NAME) == (dns.rcode.NOERROR, ["172.31.0.10"])


def test_answer_when_asked_for_another_kind_then_empty_but_the_name_exists():
    assert asked(NAME, "AAAA") == (dns.rcode.NOERROR, [])


def test_answer_when_below_our_suffix_but_no_name_then_it_does_not_exist():
    assert asked("nothing.elb.homeport.internal.") == (dns.rcode.NXDOMAIN, [])


def test_answer_when_the_name_is_somebody_elses_then_none():
    assert asked("example.com.") is None


def test_nameservers_when_the_file_holds_other_things_then_only_addresses_and_at_most_three():
    text = "# c\nsearch x\nnameserver 10.0.0.1\nnameserver nonsense\nnameserver ::1\nnameserver 10.0.0.2\nnameserver 10.0.0.3\n"
    assert nameservers(text) == ("10.0.0.1", "::1", "10.0.0.2")


# ---- over sockets, on loopback


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.asynccontextmanager
async def serving(tmp_path, *nameserver, port=None, upstream_port=1):
    path = tmp_path / "resolv.conf"
    path.write_text("".join(f"nameserver {each}\n" for each in nameserver))
    port = port or free_port()
    server = DnsServer("127.0.0.1", port, SystemClock(), HostResolvers(path), upstream_port=upstream_port)
    task = asyncio.ensure_future(server.serve())
    try:
        async with asyncio.timeout(5):
            while not server._is_answering:
                await asyncio.sleep(0.01)
        yield server, port
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def query(port, name, *, tcp=False):
    from homeport.agent.dns import _ask_tcp, _ask_udp

    wire = dns.message.make_query(name, "A").to_wire()
    return dns.message.from_wire(await (_ask_tcp if tcp else _ask_udp)(wire, "127.0.0.1", port, 5))


class Upstream(asyncio.DatagramProtocol):
    """Answers every question with 9.9.9.9."""

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        answer = dns.message.make_response(dns.message.from_wire(data))
        answer.answer.append(dns.rrset.from_text(answer.question[0].name, 1, "IN", "A", "9.9.9.9"))
        self.transport.sendto(answer.to_wire(), address)


@pytest.mark.parametrize("tcp", [False, True])
def test_server_when_asked_for_a_load_balancer_then_answers_without_any_resolver(tmp_path, tcp):
    async def main():
        async with serving(tmp_path) as (_, port):
            answer = await query(port, NAME, tcp=tcp)
            assert [str(item) for item in answer.answer[0]] == ["172.31.0.10"]
            assert (await query(port, "example.com", tcp=tcp)).rcode() == dns.rcode.SERVFAIL

    asyncio.run(main())


def test_server_when_asked_for_others_then_the_hosts_resolvers_answer_even_if_the_first_is_dead(tmp_path):
    async def main():
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Upstream, local_addr=("127.0.0.3", 0))
        try:
            port = transport.get_extra_info("sockname")[1]
            async with serving(tmp_path, "127.0.0.2", "127.0.0.3", upstream_port=port) as (_, own):
                assert str((await query(own, "example.com")).answer[0][0]) == "9.9.9.9"
        finally:
            transport.close()

    asyncio.run(main())


def test_server_when_it_gets_garbage_then_it_goes_on(tmp_path):
    async def main():
        async with serving(tmp_path) as (server, port):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.sendto(b"x" * 40, ("127.0.0.1", port))
            assert await server.answer(b"", tcp=False) is None
            assert (await query(port, NAME)).answer

    asyncio.run(main())


def test_server_when_another_agent_has_the_port_then_tasks_are_served_all_the_same(tmp_path):
    async def main():
        async with serving(tmp_path) as (_, port), serving(tmp_path, port=port) as (second, _):
            assert second._is_answering

    asyncio.run(main())


def test_containers_when_ours_answers_then_it_comes_first_and_loopback_resolvers_are_left_out(tmp_path):
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 127.0.0.53\nnameserver 10.0.0.2\nnameserver 169.254.169.253\n")
    server = DnsServer("169.254.169.253", 53, SystemClock(), HostResolvers(path))
    assert server.for_containers() == ()
    server._is_answering = True
    assert server.for_containers() == ("169.254.169.253", "10.0.0.2")
