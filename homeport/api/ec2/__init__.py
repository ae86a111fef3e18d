"""EC2 as far as load balancers and Terraform's data sources need it: importing this package declares its handlers."""

from homeport.api.ec2 import interfaces, routing, security_groups, tags, vpcs, zones

__all__ = ["interfaces", "routing", "security_groups", "tags", "vpcs", "zones"]
