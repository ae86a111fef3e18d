"""What the ELBv2 and ACM APIs are told is what a client of the load balancer meets: rules, certificates, waiters."""

import http.client
import os
import socket
import ssl

import pytest
from cryptography import x509

from tests.api.test_acm import a_certificate, a_key, pem_of
from tests.system.live import until
from tests.system.test_load_balancer_live import a_load_balancer, target  # noqa: F401 - a fixture

pytestmark = [pytest.mark.skipif(os.geteuid() != 0, reason="addresses need root"), pytest.mark.timeout(180)]


def fixed(body, status="200"):
    return [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": status, "MessageBody": body}}]


RULES = [
    (
        [{"Field": "host-header", "Values": ["*.example.com"]}, {"Field": "path-pattern", "Values": ["/api/*"]}],
        "host+path",
    ),
    ([{"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-Canary", "Values": ["y?s"]}}], "header"),
    ([{"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["DELETE"]}}], "method"),
    ([{"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "v", "Value": "2*"}]}}], "query"),
    ([{"Field": "path-pattern", "PathPatternConfig": {"RegexValues": ["^/user/[0-9]+$"]}}], "regex"),
    (
        [
            {"Field": "source-ip", "SourceIpConfig": {"Values": ["203.0.113.0/24"]}},
            {"Field": "path-pattern", "Values": ["/secret"]},
        ],
        "never",
    ),
]
REQUESTS = [
    ("GET", "/api/x", {"Host": "A.example.com"}, "host+path"),
    ("GET", "/api/x", {"Host": "example.org"}, "one"),
    ("GET", "/", {"X-Canary": "YES"}, "header"),
    ("DELETE", "/", {}, "method"),
    ("GET", "/?a=1&v=27", {}, "query"),
    ("GET", "/user/42", {}, "regex"),
    ("GET", "/user/x", {}, "one"),
    ("GET", "/secret", {}, "one"),
]


def ask(address, port, method="GET", path="/", headers=None):
    connection = http.client.HTTPConnection(address, port, timeout=5)
    try:
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()
    except ConnectionRefusedError:
        return 0, {}, ""
    finally:
        connection.close()


def certificate_for(address, port, name):
    """The names in the certificate that a client asking for `name` is shown, and the TLS version; empty: no answer."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection((address, port), 5) as plain,
            context.wrap_socket(plain, server_hostname=name) as tls,
        ):
            shown = x509.load_der_x509_certificate(tls.getpeercert(binary_form=True))
            return shown.subject.rfc4514_string(), tls.version()
    except OSError as error:
        print(error)
        return "", ""


def test_rules_and_certificates_when_made_by_the_api_then_clients_meet_them(live, target):  # noqa: F811
    elb, acm = live.client("elbv2"), live.client("acm")
    balancer, group, listener = a_load_balancer(live, target)
    (shown,) = live.status()["loadBalancers"]
    address = shown["address"]
    for number, (conditions, body) in enumerate(RULES, start=1):
        elb.create_rule(ListenerArn=listener, Priority=number, Conditions=conditions, Actions=fixed(body))
    redirect = {
        "Protocol": "HTTPS",
        "Port": "443",
        "Host": "www.example.com",
        "Path": "/new/#{path}",
        "StatusCode": "HTTP_301",
    }
    elb.create_rule(
        ListenerArn=listener,
        Priority=50,
        Conditions=[{"Field": "path-pattern", "Values": ["/old"]}],
        Actions=[{"Type": "redirect", "RedirectConfig": redirect}],
    )
    names = [
        acm.import_certificate(Certificate=pem_of(a_certificate(name)), PrivateKey=pem_of(a_key("rsa")))[
            "CertificateArn"
        ]
        for name in ("default.example.com", "other.example.com")
    ]
    secure = elb.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"],
        Protocol="HTTPS",
        Port=443,
        SslPolicy="ELBSecurityPolicy-TLS-1-2-2017-01",
        Certificates=[{"CertificateArn": names[0]}],
        DefaultActions=fixed("secure"),
    )["Listeners"][0]["ListenerArn"]
    elb.add_listener_certificates(ListenerArn=secure, Certificates=[{"CertificateArn": names[1]}])
    until(lambda: ask(address, 80, path="/old")[0] == 301, 15, what="the last rule is served")
    for method, path, headers, expected in REQUESTS:
        assert ask(address, 80, method, path, headers)[2] == expected, (method, path, headers)
    assert ask(address, 80, path="/old")[1]["location"] == "https://www.example.com:443/new/old"
    until(lambda: "other" in certificate_for(address, 443, "other.example.com")[0], 15, what="both certificates")
    assert certificate_for(address, 443, "nowhere.example.com") == ("CN=default.example.com", "TLSv1.2")
    elb.modify_listener(ListenerArn=secure, SslPolicy="ELBSecurityPolicy-TLS13-1-3-2021-06")
    until(lambda: certificate_for(address, 443, "other.example.com")[1] == "TLSv1.3", 15, what="TLS 1.3")
    elb.modify_target_group_attributes(
        TargetGroupArn=group, Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "1"}]
    )
    one = f"Id=127.0.0.1,Port={target}"
    live.aws("elbv2", "deregister-targets", "--target-group-arn", group, "--targets", one)
    elb.get_waiter("target_deregistered").wait(
        TargetGroupArn=group,
        Targets=[{"Id": "127.0.0.1", "Port": target}],
        WaiterConfig={"Delay": 1, "MaxAttempts": 30},
    )
    live.aws("elbv2", "delete-load-balancer", "--load-balancer-arn", balancer["LoadBalancerArn"])
    live.aws("elbv2", "wait", "load-balancers-deleted", "--load-balancer-arns", balancer["LoadBalancerArn"])
