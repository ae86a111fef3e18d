"""What RunTask, StartTask and services ask of a launch: where tasks may run, on what, and in which network.

Launch types: EC2 (the default) means any container instance, EXTERNAL those that register the attribute
`ecs.capability.external`, as agents outside of EC2 do. Others are not there and answer UnsupportedFeatureException.
"""

import re
from collections.abc import Sequence

from homeport.model.expression import ExpressionError, parse
from homeport.shapes import ecs as shapes

MOST_CONSTRAINTS = 10
MOST_STRATEGIES = 5
LONGEST_EXPRESSION = 2000
EXTERNAL = shapes.Attribute(name="ecs.capability.external")
HERE = (None, "EC2", "EXTERNAL")
_SPREAD_FIELD = re.compile(r"(?:instanceId|host|attribute:[A-Za-z0-9_./\\-]{1,128})\Z")
_NOT_VALID_NETWORK = "Network Configuration is not valid for the given networkMode of this task definition."
_NO_NETWORK = "Network Configuration must be provided when networkMode 'awsvpc' is specified."


def check_launch_type(definition: shapes.TaskDefinition, launch_type: str) -> None:
    """The definition can run on the kind of capacity, and that kind is there."""
    if launch_type not in (definition.compatibilities or (launch_type,)):
        raise shapes.InvalidParameterException(f"Task definition does not support launch_type {launch_type}.")
    if launch_type not in HERE:
        raise shapes.UnsupportedFeatureException(f"The launch type {launch_type} is not supported.")


def check_platform_version(launch_type: str | None, platform_version: str | None) -> None:
    """Only Fargate has platform versions."""
    if launch_type in HERE and platform_version is not None:
        raise shapes.InvalidParameterException(
            f"The platform version must be null when specifying an {launch_type or 'EC2'} launch type."
        )


def check_network(definition: shapes.TaskDefinition, network: shapes.NetworkConfiguration | None) -> None:
    """A network configuration goes with the network mode awsvpc, and only with it."""
    is_awsvpc = definition.network_mode == "awsvpc"
    has_network = network is not None and network.awsvpc_configuration is not None
    if has_network and not is_awsvpc:
        raise shapes.InvalidParameterException(_NOT_VALID_NETWORK)
    if is_awsvpc and not has_network:
        raise shapes.InvalidParameterException(_NO_NETWORK)


def check_placement(
    constraints: Sequence[shapes.PlacementConstraint], strategies: Sequence[shapes.PlacementStrategy]
) -> None:
    """Number and form of constraints and strategies; a definition's own constraints were checked when it was registered."""
    if len(constraints) > MOST_CONSTRAINTS:
        raise shapes.InvalidParameterException(f"A task can have at most {MOST_CONSTRAINTS} placement constraints.")
    if len(strategies) > MOST_STRATEGIES:
        raise shapes.InvalidParameterException(f"Maximum number of strategies is {MOST_STRATEGIES}.")
    for constraint in constraints:
        _check_constraint(constraint)
    for strategy in strategies:
        _check_strategy(strategy)


def check_constraints_together(
    definition: shapes.TaskDefinition, constraints: Sequence[shapes.PlacementConstraint]
) -> None:
    """The limit holds for the constraints of the task definition and those of the launch together."""
    if len(definition.placement_constraints or ()) + len(constraints) > MOST_CONSTRAINTS:
        raise shapes.InvalidParameterException(
            f"A task can have at most {MOST_CONSTRAINTS} placement constraints, those of its task definition included."
        )


def _check_constraint(constraint: shapes.PlacementConstraint) -> None:
    if constraint.type == "distinctInstance":
        if constraint.expression:
            raise shapes.InvalidParameterException("distinctInstance expression should not be specified.")
        return
    if constraint.type is None or not constraint.expression:
        raise shapes.InvalidParameterException(
            "A placement constraint must have a type and, for memberOf, an expression."
        )
    if len(constraint.expression) > LONGEST_EXPRESSION:
        raise shapes.InvalidParameterException(f"Expressions can have at most {LONGEST_EXPRESSION} characters.")
    try:
        parse(constraint.expression)
    except ExpressionError as error:
        raise shapes.InvalidParameterException(f"Invalid expression: {error}") from None


def _check_strategy(strategy: shapes.PlacementStrategy) -> None:
    field = strategy.field or ""
    if strategy.type == "binpack" and field.lower() not in ("cpu", "memory"):
        raise shapes.InvalidParameterException(f"binpack field '{field}' is invalid.")
    if strategy.type == "random" and field:
        raise shapes.InvalidParameterException("random field should not be specified.")
    if strategy.type is None or (strategy.type == "spread" and not _SPREAD_FIELD.match(field)):
        raise shapes.InvalidParameterException(
            "The field of the strategy spread must be instanceId, host or attribute:NAME."
        )
