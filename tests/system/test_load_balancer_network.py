"""Network load balancers with a real Envoy: every protocol, and weights that change."""

import asyncio
import os
import ssl

import pytest
from msgspec.structs import replace

from tests.balancing import a_certificate, a_listener, a_load_balancer, a_target, a_target_group, forward
from tests.system.data_plane import UdpEcho, eventually, scenario, self_signed, tcp_target, udp_ask

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="addresses need root")
NETWORK = a_load_balancer("net", kind="network", address="172.31.240.29")


async def ask(port, data=b"hello", **more):
    reader, writer = await asyncio.open_connection(NETWORK.address, port, **more)
    writer.write(data)
    answer = await asyncio.wait_for(reader.read(4096), 5)
    writer.close()
    return answer


@scenario
async def test_network_when_tcp_tls_udp_and_proxy_protocol_then_all_reach_their_targets(plane):
    plain, secure, proxied = (
        a_target_group("plain", protocol="TCP"),
        a_target_group("secure", protocol="TCP"),
        a_target_group("proxied", protocol="TCP", attributes={"proxy_protocol_v2.enabled": "true"}),
    )
    datagrams, both = a_target_group("datagrams", protocol="UDP"), a_target_group("both", protocol="TCP_UDP")
    pair = self_signed("net.test")
    row = a_certificate("net.test", *pair)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: UdpEcho("udp"), local_addr=("127.0.0.1", 0)
    )
    udp_port = transport.get_extra_info("sockname")[1]
    async with tcp_target("tcp") as port:
        plane.put(
            NETWORK,
            plain, secure, proxied, datagrams, both, row,
            a_target(plain, port), a_target(secure, port), a_target(proxied, port), a_target(datagrams, udp_port), a_target(both, udp_port),
            a_listener(NETWORK, forward(plain), port=1000, protocol="TCP"),
            a_listener(NETWORK, forward(secure), port=1001, protocol="TLS", certificates=(row.arn,)),
            a_listener(NETWORK, forward(proxied), port=1002, protocol="TCP"),
            a_listener(NETWORK, forward(datagrams), port=1003, protocol="UDP"),
            a_listener(NETWORK, forward(both), port=1004, protocol="TCP_UDP"),
        )  # fmt: skip
        await plane.active(NETWORK)
        await plane.applied()
        assert await ask(1000) == b"tcp:hello"
        context = ssl.create_default_context(cadata=pair[0])
        assert await ask(1001, ssl=context, server_hostname="net.test") == b"tcp:hello"
        header = await ask(1002)
        assert header.startswith(b"tcp:\r\n\r\n\x00\r\nQUIT\n\x21\x11")
        assert bytes(int(part) for part in NETWORK.address.split(".")) in header
        assert await udp_ask(NETWORK.address, 1003, b"hello") == b"udp:hello"
        assert await udp_ask(NETWORK.address, 1004, b"hello") == b"udp:hello"
    transport.close()


@scenario
async def test_network_when_weights_change_then_new_connections_follow_and_open_ones_stay(plane):
    blue, green = a_target_group("blue", protocol="TCP"), a_target_group("green", protocol="TCP")
    async with tcp_target("blue") as one, tcp_target("green") as two:
        listener = a_listener(NETWORK, forward(blue, green, weights=[1, 0]), port=1000, protocol="TCP")
        plane.put(NETWORK, blue, green, a_target(blue, one), a_target(green, two), listener)
        await plane.active(NETWORK)
        await plane.applied()
        reader, writer = await asyncio.open_connection(NETWORK.address, 1000)
        writer.write(b"1")
        assert await reader.read(100) == b"blue:1"
        plane.put(replace(listener, default_actions=(forward(blue, green, weights=[0, 1]),)))
        await plane.applied()
        await eventually(lambda: ask(1000), b"green:hello")
        writer.write(b"2")
        assert await asyncio.wait_for(reader.read(100), 5) == b"blue:2"
        writer.close()
