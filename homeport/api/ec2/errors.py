# ruff: noqa: N818 - EC2 named them.
"""EC2's errors: its model declares none, its API Reference lists them ("Error codes for the Amazon EC2 API")."""

from homeport.base.errors import ApiError


class InvalidParameterValue(ApiError):
    code = "InvalidParameterValue"
    status = 400


class InvalidParameterCombination(ApiError):
    code = "InvalidParameterCombination"
    status = 400


class MissingParameter(ApiError):
    code = "MissingParameter"
    status = 400


class DryRunOperation(ApiError):
    code = "DryRunOperation"
    status = 412


class TagLimitExceeded(ApiError):
    code = "TagLimitExceeded"
    status = 400


class InvalidID(ApiError):
    code = "InvalidID"
    status = 400


class InvalidVpcIDNotFound(ApiError):
    code = "InvalidVpcID.NotFound"
    status = 400


class InvalidSubnetIDNotFound(ApiError):
    code = "InvalidSubnetID.NotFound"
    status = 400


class InvalidGroupNotFound(ApiError):
    code = "InvalidGroup.NotFound"
    status = 400


class InvalidSecurityGroupRuleIdNotFound(ApiError):
    code = "InvalidSecurityGroupRuleId.NotFound"
    status = 400


class InvalidRouteTableIDNotFound(ApiError):
    code = "InvalidRouteTableID.NotFound"
    status = 400


class InvalidNetworkAclIDNotFound(ApiError):
    code = "InvalidNetworkAclID.NotFound"
    status = 400


class InvalidInternetGatewayIDNotFound(ApiError):
    code = "InvalidInternetGatewayID.NotFound"
    status = 400


class InvalidNetworkInterfaceIDNotFound(ApiError):
    code = "InvalidNetworkInterfaceID.NotFound"
    status = 400
