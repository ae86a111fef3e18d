"""Terraform's load balancer resources in the default VPC: apply, an empty plan, an update, destroy."""

import datetime as dt
import shutil

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from tests.system.test_terraform import PROVIDER, Terraform

pytestmark = [
    pytest.mark.skipif(shutil.which("terraform") is None, reason="terraform is not on this machine"),
    # The provider itself pauses 30 s after it created a load balancer, and polls every 10 s.
    pytest.mark.timeout(600),
]

STACK = """
variable "release" { default = "1" }
variable "green" { default = 0 }

data "aws_vpc" "default" { default = true }
data "aws_subnets" "default" {
  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.default.id]
  }
}
data "aws_security_group" "default" {
  vpc_id = data.aws_vpc.default.id
  name   = "default"
}
data "aws_availability_zones" "available" { state = "available" }
data "aws_subnet" "first" {
  vpc_id            = data.aws_vpc.default.id
  availability_zone = data.aws_availability_zones.available.names[0]
}
data "aws_route_table" "main" { vpc_id = data.aws_vpc.default.id }
data "aws_internet_gateway" "default" {
  filter {
    name   = "attachment.vpc-id"
    values = [data.aws_vpc.default.id]
  }
}

resource "aws_acm_certificate" "web" {
  count            = 2
  private_key      = file("${path.module}/key-${count.index}.pem")
  certificate_body = file("${path.module}/cert-${count.index}.pem")
  tags             = { release = var.release }
}

resource "aws_lb" "web" {
  name               = "tf-web"
  load_balancer_type = "application"
  subnets            = data.aws_subnets.default.ids
  security_groups    = [data.aws_security_group.default.id]
  idle_timeout       = var.release == "1" ? 60 : 120
  tags               = { release = var.release }
}

resource "aws_lb" "tcp" {
  name               = "tf-tcp"
  internal           = true
  load_balancer_type = "network"
  subnets            = [data.aws_subnet.first.id]
}

resource "aws_lb_target_group" "web" {
  for_each             = toset(["blue", "green"])
  name                 = "tf-${each.key}"
  port                 = 80
  protocol             = "HTTP"
  target_type          = "instance"
  vpc_id               = data.aws_vpc.default.id
  deregistration_delay = 5
  slow_start           = 30
  health_check {
    path     = "/up/${var.release}"
    interval = 5
    timeout  = 2
    matcher  = "200-299"
  }
  stickiness {
    type            = "lb_cookie"
    cookie_duration = 3600
    enabled         = true
  }
  tags = { release = var.release }
}

resource "aws_lb_target_group" "tcp" {
  name        = "tf-tcp"
  port        = 5432
  protocol    = "TCP"
  target_type = "ip"
  vpc_id      = data.aws_vpc.default.id
}

resource "aws_lb_target_group_attachment" "tcp" {
  target_group_arn = aws_lb_target_group.tcp.arn
  target_id        = "10.1.2.3"
  port             = 5432
}

resource "aws_lb_listener" "http" {
  load_balancer_arn = aws_lb.web.arn
  port              = 80
  protocol          = "HTTP"
  default_action {
    type = "redirect"
    redirect {
      protocol    = "HTTPS"
      port        = "443"
      status_code = "HTTP_301"
    }
  }
}

resource "aws_lb_listener" "https" {
  load_balancer_arn = aws_lb.web.arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = aws_acm_certificate.web[0].arn
  default_action {
    type = "forward"
    forward {
      target_group {
        arn    = aws_lb_target_group.web["blue"].arn
        weight = 100 - var.green
      }
      target_group {
        arn    = aws_lb_target_group.web["green"].arn
        weight = var.green
      }
      stickiness {
        enabled  = true
        duration = 60
      }
    }
  }
  tags = { release = var.release }
}

resource "aws_lb_listener_certificate" "more" {
  listener_arn    = aws_lb_listener.https.arn
  certificate_arn = aws_acm_certificate.web[1].arn
}

resource "aws_lb_listener" "tcp" {
  load_balancer_arn = aws_lb.tcp.arn
  port              = 5432
  protocol          = "TCP"
  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.tcp.arn
  }
}

resource "aws_lb_listener_rule" "api" {
  listener_arn = aws_lb_listener.https.arn
  priority     = var.release == "1" ? 10 : 20
  action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.web["green"].arn
  }
  condition {
    path_pattern { values = ["/api/*"] }
  }
  condition {
    host_header { values = ["*.example.com"] }
  }
  tags = { release = var.release }
}

resource "aws_lb_listener_rule" "answer" {
  listener_arn = aws_lb_listener.https.arn
  priority     = 100
  action {
    type = "fixed-response"
    fixed_response {
      content_type = "text/plain"
      message_body = "release ${var.release}"
      status_code  = "200"
    }
  }
  condition {
    http_header {
      http_header_name = "X-Canary"
      values           = ["yes"]
    }
  }
  condition {
    query_string {
      key   = "v"
      value = "1"
    }
    query_string { value = "x" }
  }
  condition {
    http_request_method { values = ["GET"] }
  }
  condition {
    source_ip { values = ["10.0.0.0/8"] }
  }
}
"""


def write_certificate(directory, number):
    """A self-signed certificate and its key, as the configuration reads them."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"tf-{number}.example.com")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(subject_name=name, issuer_name=name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    (directory / f"key-{number}.pem").write_bytes(private)
    (directory / f"cert-{number}.pem").write_bytes(certificate.public_bytes(encoding))


def test_load_balancers_when_applied_updated_and_destroyed_then_every_second_plan_is_empty(live, tmp_path):
    for number in range(2):
        write_certificate(tmp_path, number)
    (tmp_path / "main.tf").write_text(PROVIDER + STACK)
    terraform = Terraform(tmp_path, live)
    terraform("init", "-input=false")
    terraform("apply", "-auto-approve", "-input=false")
    terraform.assert_empty_plan()
    elb = live.client("elbv2")
    assert {row["State"]["Code"] for row in elb.describe_load_balancers()["LoadBalancers"]} == {"active"}
    update = ("-var=release=2", "-var=green=25")
    terraform("apply", "-auto-approve", "-input=false", *update)
    terraform.assert_empty_plan(*update)
    arn = elb.describe_load_balancers(Names=["tf-web"])["LoadBalancers"][0]["LoadBalancerArn"]
    listener = next(row for row in elb.describe_listeners(LoadBalancerArn=arn)["Listeners"] if row["Port"] == 443)
    weights = [group["Weight"] for group in listener["DefaultActions"][0]["ForwardConfig"]["TargetGroups"]]
    assert sorted(weights) == [25, 75]
    rules = elb.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]
    assert [rule["Priority"] for rule in rules] == ["20", "100", "default"]
    terraform("destroy", "-auto-approve", "-input=false", *update)
    assert elb.describe_load_balancers()["LoadBalancers"] == elb.describe_target_groups()["TargetGroups"] == []
    assert live.client("acm").list_certificates()["CertificateSummaryList"] == []
