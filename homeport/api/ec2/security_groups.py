"""The default security group: everything from its own members, everything to anywhere.

Nothing here enforces it: on a host of one's own the containers and load balancers are reachable as the host's network
allows.
"""

from homeport.api.ec2 import errors
from homeport.api.ec2.select import by_id, filtered, page, refuse_dry_run, tags_of, the_vpc
from homeport.api.operation import Context, operation
from homeport.shapes import ec2 as shapes
from homeport.store.schema import Tables

NAME = "default"
_ANYWHERE = "0.0.0.0/0"


def _permissions(group: shapes.SecurityGroup, *, egress: bool) -> tuple[shapes.IpPermission, ...]:
    return (group.ip_permissions_egress if egress else group.ip_permissions) or ()


def _sources(group: shapes.SecurityGroup, *, egress: bool) -> list[str | None]:
    return [item.cidr_ip for rule in _permissions(group, egress=egress) for item in rule.ip_ranges or ()]


def _pairs(group: shapes.SecurityGroup, *, egress: bool) -> list[str | None]:
    return [pair.group_id for rule in _permissions(group, egress=egress) for pair in rule.user_id_group_pairs or ()]


_GROUP_FIELDS = {
    "description": lambda group: [group.description],
    "group-id": lambda group: [group.group_id],
    "group-name": lambda group: [group.group_name],
    "owner-id": lambda group: [group.owner_id],
    "vpc-id": lambda group: [group.vpc_id],
    "ip-permission.cidr": lambda group: _sources(group, egress=False),
    "ip-permission.group-id": lambda group: _pairs(group, egress=False),
    "ip-permission.protocol": lambda group: [rule.ip_protocol for rule in _permissions(group, egress=False)],
    "egress.ip-permission.cidr": lambda group: _sources(group, egress=True),
    "egress.ip-permission.group-id": lambda group: _pairs(group, egress=True),
    "egress.ip-permission.protocol": lambda group: [rule.ip_protocol for rule in _permissions(group, egress=True)],
}
_RULE_FIELDS = {
    "group-id": lambda rule: [rule.group_id],
    "security-group-rule-id": lambda rule: [rule.security_group_rule_id],
}


@operation(shapes.SERVICE, "DescribeSecurityGroups")
def describe_security_groups(
    ctx: Context, tx: Tables, request: shapes.DescribeSecurityGroupsRequest
) -> shapes.DescribeSecurityGroupsResult:
    refuse_dry_run(request.dry_run)
    rows = [_group(ctx, tx)]
    chosen = by_id(rows, request.group_ids, lambda row: row.group_id, errors.InvalidGroupNotFound, "security group")
    if request.group_names:
        chosen = by_id(
            chosen, request.group_names, lambda row: row.group_name, errors.InvalidGroupNotFound, "security group"
        )
    shown, token = page(filtered(chosen, request.filters, _GROUP_FIELDS), request.next_token, request.max_results)
    return shapes.DescribeSecurityGroupsResult(security_groups=shown, next_token=token)


def _group(ctx: Context, tx: Tables) -> shapes.SecurityGroup:
    vpc = the_vpc(ctx)
    itself = shapes.UserIdGroupPair(user_id=vpc.account_id, group_id=vpc.security_group_id)
    return shapes.SecurityGroup(
        group_id=vpc.security_group_id,
        group_name=NAME,
        description="default VPC security group",
        owner_id=vpc.account_id,
        vpc_id=vpc.id,
        security_group_arn=f"arn:aws:ec2:{vpc.region}:{vpc.account_id}:security-group/{vpc.security_group_id}",
        tags=tags_of(tx, vpc.security_group_id),
        ip_permissions=(
            shapes.IpPermission(
                ip_protocol="-1", user_id_group_pairs=(itself,), ip_ranges=(), ipv6_ranges=(), prefix_list_ids=()
            ),
        ),
        ip_permissions_egress=(
            shapes.IpPermission(
                ip_protocol="-1",
                user_id_group_pairs=(),
                ip_ranges=(shapes.IpRange(cidr_ip=_ANYWHERE),),
                ipv6_ranges=(),
                prefix_list_ids=(),
            ),
        ),
    )


@operation(shapes.SERVICE, "DescribeSecurityGroupRules")
def describe_security_group_rules(
    ctx: Context, tx: Tables, request: shapes.DescribeSecurityGroupRulesRequest
) -> shapes.DescribeSecurityGroupRulesResult:
    refuse_dry_run(request.dry_run)
    rows = [_rule(ctx, tx, egress=False), _rule(ctx, tx, egress=True)]
    missing = errors.InvalidSecurityGroupRuleIdNotFound
    chosen = by_id(
        rows, request.security_group_rule_ids, lambda row: row.security_group_rule_id, missing, "security group rule ID"
    )
    shown, token = page(filtered(chosen, request.filters, _RULE_FIELDS), request.next_token, request.max_results)
    return shapes.DescribeSecurityGroupRulesResult(security_group_rules=shown, next_token=token)


def _rule(ctx: Context, tx: Tables, *, egress: bool) -> shapes.SecurityGroupRule:
    vpc = the_vpc(ctx)
    rule_id = vpc.egress_rule_id if egress else vpc.ingress_rule_id
    itself = shapes.ReferencedSecurityGroup(group_id=vpc.security_group_id, user_id=vpc.account_id)
    return shapes.SecurityGroupRule(
        security_group_rule_id=rule_id,
        group_id=vpc.security_group_id,
        group_owner_id=vpc.account_id,
        is_egress=egress,
        ip_protocol="-1",
        from_port=-1,
        to_port=-1,
        cidr_ipv4=_ANYWHERE if egress else None,
        referenced_group_info=None if egress else itself,
        tags=tags_of(tx, rule_id),
        security_group_rule_arn=f"arn:aws:ec2:{vpc.region}:{vpc.account_id}:security-group-rule/{rule_id}",
    )
