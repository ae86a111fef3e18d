"""Access and connection logs of load balancers, written by a real Envoy."""

import asyncio
import os

import pytest
from msgspec.structs import replace

from tests.balancing import a_certificate, a_listener, a_load_balancer, a_target, a_target_group, fixed, forward
from tests.system.data_plane import curl, http_target, scenario, self_signed, under_load, until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="addresses need root")
BALANCER = a_load_balancer(address="172.31.240.28")


@scenario
async def test_access_log_when_enabled_then_requests_are_written_to_its_file(plane):
    balancer = replace(
        BALANCER,
        attributes={"access_logs.s3.enabled": "true", "access_logs.s3.bucket": "logs", "access_logs.s3.prefix": "web"},
    )
    plane.put(balancer, a_listener(balancer, fixed(200, "x")))
    await plane.active(balancer)
    await plane.applied()
    assert await curl(f"http://{BALANCER.address}/logged") == "x"
    file = plane.data_dir / "access-logs" / "logs" / "web" / "web.log"
    await until(lambda: file.exists() and "/logged" in file.read_text(), 20, "the entry")


@scenario
async def test_connection_log_when_enabled_under_load_then_one_entry_a_connection_and_no_request_fails(plane):
    group, pair = a_target_group(), self_signed("a.test")
    row = a_certificate("a.test", *pair)
    secure = a_listener(BALANCER, forward(group), port=443, protocol="HTTPS", certificates=(row.arn,))
    async with http_target("one") as one:
        await plane.serving(BALANCER, group, a_target(group, one), row, secure, a_listener(BALANCER, forward(group)))
        logged = {"connection_logs.s3.enabled": "true", "connection_logs.s3.bucket": "logs"}
        async with under_load(BALANCER):
            plane.put(replace(BALANCER, attributes=logged))
            await plane.applied()
            await asyncio.sleep(0.3)
        assert await curl(
            "-k", "--local-port", "31000-31999", f"https://{BALANCER.address}/a", f"https://{BALANCER.address}/b"
        )
        with pytest.raises(AssertionError):
            await curl("--local-port", "32000-32999", f"https://{BALANCER.address}/")
        assert await curl("--local-port", "33000-33999", f"http://{BALANCER.address}") == "one"
        file = plane.data_dir / "access-logs" / "logs" / "conn_log_web.log"

        def entries(digits):
            lines = file.read_text().splitlines() if file.exists() else []
            return [fields for line in lines if (fields := line.split(" "))[2].startswith(digits)]

        await until(lambda: all(entries(digits) for digits in ("31", "32", "33")), 30, "the entries")
        (good,), (bad,), (plain,) = entries("31"), entries("32"), entries("33")
        assert all(len(fields) == 15 for fields in (good, bad, plain))
        assert good[3:6] == ["443", "TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256"]
        assert 0 < float(good[6]) < 5
        assert (good[10], bad[6], bad[10]) == ("Success", "-", "Failed:UnmappedConnectionError")
        assert plain[3:11] == ["80", *"-------"]
        assert {tuple(fields[13:]) for fields in (good, bad, plain)} == {("app/web/1", BALANCER.address)}
