"""Names of load balancers inside real containers."""

import os
import subprocess

import pytest

from tests.system.live import until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="addresses need root")
ADDRESS, NAME = "172.31.240.20", "web-2887774228.us-east-1.elb.homeport.internal"


def test_name_when_a_task_asks_for_it_then_it_is_told_the_load_balancers_address(live):
    command = ["sh", "-c", f"cat /etc/resolv.conf; nslookup {NAME} | grep {ADDRESS}"]
    definition = live.register("hp-dns", {"name": "c", "command": command})
    log = live.data_dir / "logs" / "agent.log"
    until(lambda: any(event in log.read_text() for event in ("dns_listening", "dns_shared")), 20)
    (arn,) = live.run(definition)
    container = live.wait(arn, "STOPPED")["containers"][0]
    shown = subprocess.run(["docker", "logs", container["runtimeId"]], capture_output=True, text=True, check=False)
    assert container["exitCode"] == 0, shown.stdout + shown.stderr
