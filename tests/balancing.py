"""Rows of load balancers as the ELBv2 API keeps them, short to write."""

from homeport.model.load_balancer import Certificate, Listener, LoadBalancer, Rule, Target, TargetGroup

PREFIX = "arn:aws:elasticloadbalancing:us-east-1:123456789012"


def a_load_balancer(name="web", *, address="172.31.0.10", kind="application", **more):
    prefix = "app" if kind == "application" else "net"
    return LoadBalancer(
        arn=f"{PREFIX}:loadbalancer/{prefix}/{name}/1",
        name=name,
        dns_name=f"{name}-2887712778.us-east-1.elb.homeport.internal",
        address=address,
        type=kind,
        scheme="internet-facing",
        vpc_id="vpc-1",
        subnet_ids=(),
        security_groups=(),
        ip_address_type="ipv4",
        created_at=0.0,
        **more,
    )


def a_target_group(name="web", *, protocol="HTTP", target_type="ip", **more):
    return TargetGroup(
        arn=f"{PREFIX}:targetgroup/{name}/1",
        name=name,
        protocol=protocol,
        port=80,
        vpc_id="vpc-1",
        target_type=target_type,
        created_at=0.0,
        **more,
    )


def a_target(group, port, *, host="127.0.0.1", state="healthy", **more):
    key = f"{group.arn}|{host}|{port}"
    return Target(key=key, target_group_arn=group.arn, id=host, port=port, registered_at=0.0, state=state, **more)


def forward(*groups, weights=None, sticky_seconds=0):
    """A forward action; weights default to 1 each."""
    tuples = [
        {"TargetGroupArn": group.arn, "Weight": weight}
        for group, weight in zip(groups, weights or [1] * len(groups), strict=True)
    ]
    config = {"TargetGroups": tuples}
    if sticky_seconds:
        config["TargetGroupStickinessConfig"] = {"Enabled": True, "DurationSeconds": sticky_seconds}
    return {"Type": "forward", "ForwardConfig": config}


def fixed(status, body=""):
    config = {"StatusCode": str(status), "ContentType": "text/plain", "MessageBody": body}
    return {"Type": "fixed-response", "FixedResponseConfig": config}


def redirect(status="HTTP_301", **config):
    return {"Type": "redirect", "RedirectConfig": {"StatusCode": status, **config}}


def a_listener(balancer, action, *, port=80, protocol="HTTP", **more):
    arn = f"{balancer.arn.replace(':loadbalancer/', ':listener/')}/{port}-{protocol}"
    return Listener(
        arn=arn,
        load_balancer_arn=balancer.arn,
        port=port,
        protocol=protocol,
        default_actions=(action,),
        created_at=0.0,
        **more,
    )


def a_rule(listener, priority, action, *conditions):
    arn = f"{listener.arn.replace(':listener/', ':listener-rule/')}/{priority}"
    return Rule(
        arn=arn,
        listener_arn=listener.arn,
        priority=priority,
        conditions=conditions,
        actions=(action,),
        created_at=0.0,
    )


def path_is(*values):
    return {"Field": "path-pattern", "PathPatternConfig": {"Values": list(values)}}


def a_certificate(name, certificate_pem, sealed_key, *, names=None):
    return Certificate(
        arn=f"arn:aws:acm:us-east-1:123456789012:certificate/{name}",
        certificate_pem=certificate_pem,
        chain_pem="",
        sealed_key=sealed_key,
        domain_name=name,
        names=(name,) if names is None else names,
        not_before=0.0,
        not_after=0.0,
        created_at=0.0,
        serial="1",
        issuer="",
        subject="",
        key_algorithm="EC-prime256v1",
    )
