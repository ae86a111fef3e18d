"""Headers that listeners set, with a real Envoy: on answers of targets and on its own, and on requests to targets."""

import asyncio
import json
import os
import re

import aiohttp
import pytest
from msgspec.structs import replace

from tests.balancing import (
    a_certificate,
    a_listener,
    a_load_balancer,
    a_rule,
    a_target,
    a_target_group,
    fixed,
    forward,
    path_is,
    redirect,
)
from tests.system.data_plane import curl, eventually, http_target, scenario, self_signed, under_load

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="addresses need root")
BALANCER = a_load_balancer(address="172.31.240.20")
URL = f"http://{BALANCER.address}"
TLS_HEADERS = "routing.http.x_amzn_tls_version_and_cipher_suite.enabled"


def answering(**headers):
    """Listener attributes that set these headers (named in snake case)."""
    return {f"routing.http.response.{name}.header_value": value for name, value in headers.items()}


async def head(*arguments):
    """Status and headers of an answer."""
    text = await curl("-i", "-o", "-", *arguments)
    lines = text.replace("\r", "").split("\n\n")[0].split("\n")
    return int(lines[0].split()[1]), dict(line.lower().split(": ", 1) for line in lines[1:])


async def _noted(events):
    events.append(1)


@scenario
async def test_response_headers_when_set_then_on_every_answer_in_place_of_the_targets(plane):
    group, empty = a_target_group(), a_target_group("empty")
    policy = "default-src 'self'; img-src https://a.test/%41*?x=1&y=~`^|{}"
    listener = a_listener(
        BALANCER,
        forward(group),
        attributes=answering(content_security_policy=policy, x_frame_options="DENY", access_control_max_age="600"),
    )
    rules = [
        a_rule(listener, 1, fixed(200, "x"), path_is("/fixed")),
        a_rule(listener, 2, redirect(Path="/there"), path_is("/moved")),
        a_rule(listener, 3, forward(empty), path_is("/nobody")),
    ]
    async with http_target("one") as one:
        await plane.serving(BALANCER, group, empty, a_target(group, one), listener, *rules)
        paths = {"/": 200, "/with?X-Frame-Options=ALLOW&X-Frame-Options=SAMEORIGIN": 200, "/fixed": 200}
        for path, expected in {**paths, "/moved": 301, "/nobody": 503}.items():
            status, headers = await head(f"{URL}{path}")
            assert status == expected
            assert headers["content-security-policy"] == policy.lower(), path
            assert headers["x-frame-options"] == "deny", path
            assert headers["access-control-max-age"] == "600", path
            assert "strict-transport-security" not in headers
        _, headers = await head(f"{URL}/with?Strict-Transport-Security=max-age%3D1")
        assert headers["strict-transport-security"] == "max-age=1", "what is not set is the target's"


@scenario
async def test_response_headers_when_changed_under_load_then_no_request_fails_and_no_connection_is_closed(plane):
    group = a_target_group()
    listener = a_listener(BALANCER, forward(group))
    async with http_target("one") as one:
        await plane.serving(BALANCER, group, a_target(group, one), listener)
        opened = []
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(lambda *_: _noted(opened))
        async with under_load(BALANCER), aiohttp.ClientSession(trace_configs=[trace]) as session:

            async def told():
                async with session.get(URL) as answer:
                    return answer.headers.get("x-content-type-options")

            for number in range(5):
                plane.put(replace(listener, attributes=answering(x_content_type_options=f"nosniff{number}")))
                await eventually(told, f"nosniff{number}")
                await asyncio.sleep(0.1)
            plane.put(listener)
            await eventually(told, None)
        assert len(opened) == 1


@scenario
async def test_server_header_when_disabled_under_load_then_gone_and_no_request_fails(plane):
    group = a_target_group()
    listener = a_listener(BALANCER, forward(group))
    rule = a_rule(listener, 1, fixed(200, "x"), path_is("/fixed"))

    async def server_of(url):
        return (await head(url))[1].get("server")

    async with http_target("one") as one:
        await plane.serving(BALANCER, group, a_target(group, one), listener, rule)
        assert await server_of(f"{URL}/fixed") == "awselb/2.0"
        async with under_load(BALANCER):
            plane.put(replace(listener, attributes={"routing.http.response.server.enabled": "false"}))
            await plane.applied()
            await eventually(lambda: server_of(f"{URL}/fixed"), None)
            assert "aiohttp" in await server_of(URL), "a target's own is not ELB's to take away"


@scenario
async def test_forwarded_for_when_the_clients_port_is_asked_for_under_load_then_told_and_no_request_fails(plane):
    group = a_target_group()

    async def seen():
        text = await curl("-H", "X-Forwarded-For: 9.9.9.9", "--local-port", "20000-29000", f"{URL}/headers")
        return json.loads(text).get("x-forwarded-for")

    async def has_port():
        return bool(re.fullmatch(rf"9\.9\.9\.9,{re.escape(BALANCER.address)}:2[0-9]{{4}}", await seen()))

    async with http_target("one") as one:
        await plane.serving(BALANCER, group, a_target(group, one), a_listener(BALANCER, forward(group)))
        assert await seen() == f"9.9.9.9,{BALANCER.address}"
        asked = {"routing.http.xff_client_port.enabled": "true"}
        async with under_load(BALANCER):
            plane.put(replace(BALANCER, attributes=asked))
            await plane.applied()
            await eventually(has_port, True)
        for mode, expected in (("preserve", "9.9.9.9"), ("remove", None)):
            plane.put(replace(BALANCER, attributes={**asked, "routing.http.xff_header_processing.mode": mode}))
            await plane.applied()
            await eventually(seen, expected)


@scenario
async def test_invalid_headers_when_they_are_to_be_dropped_under_load_then_gone_and_no_request_fails(plane):
    group = a_target_group()
    names = ("x-fine-1", "x_low", "x.dot", "_first", "last_")

    async def seen():
        arguments = [argument for name in names for argument in ("-H", f"{name}: 1")]
        found = json.loads(await curl(*arguments, "-A", "me", f"{URL}/headers"))
        assert (found["host"], found["user-agent"]) == (BALANCER.address, "me")
        return {name for name in found if name in names}

    async with http_target("one") as one:
        await plane.serving(BALANCER, group, a_target(group, one), a_listener(BALANCER, forward(group)))
        assert await seen() == set(names)
        async with under_load(BALANCER):
            plane.put(replace(BALANCER, attributes={"routing.http.drop_invalid_header_fields.enabled": "true"}))
            await plane.applied()
            await eventually(seen, {"x-fine-1"})


@scenario
async def test_tls_headers_when_enabled_then_targets_learn_version_and_cipher_and_clients_cannot_lie(plane):
    group = a_target_group()
    pair = self_signed("a.test")
    row = a_certificate("a.test", *pair)
    secure = a_listener(
        BALANCER,
        forward(group),
        port=443,
        protocol="HTTPS",
        certificates=(row.arn,),
        ssl_policy="ELBSecurityPolicy-TLS13-1-2-2021-06",
    )
    plain = a_listener(BALANCER, forward(group))
    lie = ("-H", "X-Amzn-Tls-Version: TLSv9", "-H", "x-amzn-tls-cipher-suite: NONE")

    async def seen(*arguments):
        text = await curl("-k", *arguments)
        return {name: value for name, value in json.loads(text).items() if "tls" in name}

    async with http_target("one") as one:
        await plane.serving(BALANCER, group, a_target(group, one), row, secure, plain)
        url = f"https://{BALANCER.address}/headers"
        assert await seen(url) == {}
        async with under_load(BALANCER):
            plane.put(replace(BALANCER, attributes={TLS_HEADERS: "true"}))
            await plane.applied()
        found = await seen("--tls-max", "1.2", *lie, url)
        assert found == {"x-amzn-tls-version": "TLSv1.2", "x-amzn-tls-cipher-suite": "ECDHE-ECDSA-AES128-GCM-SHA256"}
        found = await seen("--tlsv1.3", url)
        assert found["x-amzn-tls-version"] == "TLSv1.3"
        assert found["x-amzn-tls-cipher-suite"].startswith("TLS_")
        assert await seen(*lie, f"{URL}/headers") == {}
        names = {
            "routing.http.request.x_amzn_tls_version.header_name": "My-Tls",
            "routing.http.request.x_amzn_tls_cipher_suite.header_name": "My_Tls_Cipher",
        }
        plane.put(replace(secure, attributes=names))
        await plane.applied()
        assert set(await seen(url)) == {"my-tls", "my_tls_cipher"}
