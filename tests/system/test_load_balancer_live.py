"""A load balancer of a running Homeport, made through the API: reached by name, and served through kills of everything."""

import http.server
import json
import os
import signal
import socket
import socketserver
import subprocess
import threading
import time
import urllib.request

import pytest

from homeport.base.local import read_state
from tests.system.live import Live, until
from tests.system.load import LoadProcess

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="addresses need root")


class Target(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = self.server.name.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def target():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Target)
    server.daemon_threads, server.name = True, "one"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def homeport(tmp_path, test_image):
    live = Live(tmp_path / "homeport").up()
    yield live
    live.down()


def kill(live, name):
    pid = read_state(live.data_dir, "supervisor")[name]["pid"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: read_state(live.data_dir, "supervisor")[name]["pid"] != pid, 15, 0.01, f"another {name}")


def get(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read().decode()


def a_load_balancer(live, port):
    """ARNs of a load balancer, its target group and listener; active, its target healthy."""
    elb = live.client("elbv2")
    subnets = [row["SubnetId"] for row in live.client("ec2").describe_subnets()["Subnets"]][:2]
    started = time.monotonic()
    balancer = elb.create_load_balancer(Name="web", Subnets=subnets)["LoadBalancers"][0]
    assert balancer["State"]["Code"] == "provisioning"
    group = elb.create_target_group(
        Name="web",
        Protocol="HTTP",
        Port=80,
        TargetType="ip",
        VpcId=balancer["VpcId"],
        HealthCheckIntervalSeconds=5,
        HealthCheckTimeoutSeconds=2,
    )["TargetGroups"][0]["TargetGroupArn"]
    elb.register_targets(TargetGroupArn=group, Targets=[{"Id": "127.0.0.1", "Port": port, "AvailabilityZone": "all"}])
    listener = elb.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"],
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
    )["Listeners"][0]["ListenerArn"]
    elb.get_waiter("load_balancer_available").wait(
        LoadBalancerArns=[balancer["LoadBalancerArn"]], WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    print(f"active after {time.monotonic() - started:.1f} s")
    elb.get_waiter("target_in_service").wait(TargetGroupArn=group, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    (shown,) = live.status()["loadBalancers"]
    until(lambda: answers(shown["address"]), 10, what="the listener answers")
    return balancer, group, listener


def test_load_balancer_when_created_then_reached_by_name_and_shown_and_gone_when_deleted(homeport, target):
    balancer, _, _ = a_load_balancer(homeport, target)
    name = balancer["DNSName"]
    assert get(f"http://{name}/") == "one"
    (shown,) = homeport.status()["loadBalancers"]
    assert (shown["state"], shown["dnsName"], shown["urls"]) == ("active", name, [f"http://{shown['address']}/"])
    assert get(shown["urls"][0]) == "one"
    assert f"curl http://{shown['address']}/" in homeport.homeport("status").stdout
    homeport.client("elbv2").delete_load_balancer(LoadBalancerArn=balancer["LoadBalancerArn"])
    until(lambda: shown["address"] not in addresses(), 10, what="the address is taken away")
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo(name, 80)
    log = (homeport.data_dir / "logs" / "server.log").read_text()
    assert [line for line in log.splitlines() if not line.startswith("{")] == []


def addresses():
    rows = json.loads(subprocess.run(["ip", "-j", "addr", "show", "lo"], capture_output=True, check=True).stdout)
    return {info["local"] for row in rows for info in row["addr_info"]}


def test_load_balancer_when_server_is_killed_under_load_then_no_request_fails(homeport, target):
    a_load_balancer(homeport, target)
    (shown,) = homeport.status()["loadBalancers"]
    with LoadProcess(shown["address"], 80) as load:
        for _ in range(2):
            time.sleep(0.5)
            kill(homeport, "server")
            until(lambda: homeport.status()["health"], 30, what="the server answers")
        kill(homeport, "agent")
        time.sleep(1)
    print(load.result)
    assert load.result["failed"] == 0, load.result


def test_load_balancer_when_envoy_is_killed_under_load_then_back_at_once_with_its_configuration(homeport, target):
    a_load_balancer(homeport, target)
    (shown,) = homeport.status()["loadBalancers"]
    time.sleep(11)  # a child that lived for ten seconds is started again at once
    with LoadProcess(shown["address"], 80) as load:
        time.sleep(0.5)
        pid = read_state(homeport.data_dir, "supervisor")["balancer"]["pid"]
        os.kill(pid, signal.SIGKILL)
        started = time.monotonic()
        time.sleep(0.05)
        until(lambda: answers(shown["address"]), 10, 0.01)
        away = time.monotonic() - started
        time.sleep(0.5)
    print(f"away for {away:.2f} s", load.result)
    assert away < 2, "1 s on an idle machine"
    assert set(load.result["failures"]) <= {"ConnectionRefusedError", "IncompleteReadError", "ConnectionResetError"}
    assert (
        load.result["failures"].get("IncompleteReadError", 0) + load.result["failures"].get("ConnectionResetError", 0)
        <= 8
    )


def answers(address):
    try:
        return get(f"http://{address}/") == "one"
    except OSError:
        return False


def test_listener_when_its_port_is_taken_then_the_api_tells_the_reason(homeport, target):
    balancer, group, _ = a_load_balancer(homeport, target)
    (shown,) = homeport.status()["loadBalancers"]
    elb = homeport.client("elbv2")
    with socket.create_server((shown["address"], 8081)):
        elb.create_listener(
            LoadBalancerArn=balancer["LoadBalancerArn"],
            Protocol="HTTP",
            Port=8081,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
        )

        def impaired():
            (row,) = elb.describe_load_balancers(Names=["web"])["LoadBalancers"]
            return row["State"] if row["State"]["Code"] == "active_impaired" else None

        assert "Address already in use" in until(impaired, 15)["Reason"]
        assert get(f"http://{shown['address']}/") == "one"


def test_network_load_balancer_when_its_target_is_deregistered_then_an_open_connection_is_cut_after_the_delay(homeport):
    elb = homeport.client("elbv2")
    subnets = [row["SubnetId"] for row in homeport.client("ec2").describe_subnets()["Subnets"]][:1]
    balancer = elb.create_load_balancer(Name="net", Type="network", Subnets=subnets)["LoadBalancers"][0]
    group = elb.create_target_group(
        Name="net", Protocol="TCP", Port=80, TargetType="ip", VpcId=balancer["VpcId"],
        HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=2, HealthyThresholdCount=2,
    )["TargetGroups"][0]["TargetGroupArn"]  # fmt: skip
    attributes = {
        "deregistration_delay.timeout_seconds": "3",
        "deregistration_delay.connection_termination.enabled": "true",
    }
    elb.modify_target_group_attributes(
        TargetGroupArn=group, Attributes=[{"Key": key, "Value": value} for key, value in attributes.items()]
    )
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        targets = [{"Id": "127.0.0.1", "Port": server.server_address[1], "AvailabilityZone": "all"}]
        elb.register_targets(TargetGroupArn=group, Targets=targets)
        elb.create_listener(
            LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="TCP", Port=7000,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
        )  # fmt: skip
        elb.get_waiter("target_in_service").wait(TargetGroupArn=group, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
        address = until(lambda: [row["address"] for row in homeport.status()["loadBalancers"]], 10)[0]
        connection = until(lambda: echoing(address), 10, what="the listener answers")
        started = time.monotonic()
        elb.deregister_targets(TargetGroupArn=group, Targets=targets)
        time.sleep(2)
        connection.sendall(b"still")
        assert connection.recv(100) == b"still"
        assert connection.recv(100) == b""
        assert 3 <= time.monotonic() - started < 8, "the delay, a second, and a slow machine"
        connection.close()
        server.shutdown()


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(100):
            self.request.sendall(data)


def echoing(address):
    """A connection to port 7000 that gets its answer, or None."""
    connection = None
    try:
        connection = socket.create_connection((address, 7000), 5)
        connection.settimeout(15)
        connection.sendall(b"x")
        if connection.recv(1) == b"x":
            return connection
    except OSError:
        pass
    if connection is not None:
        connection.close()
    return None
