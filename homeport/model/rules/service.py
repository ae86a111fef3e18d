"""What a service may be: name, token, counts, scheduling, placement, and what is refused because it is not built.

`check_service` looks at the row that a request would lead to, not at the request: CreateService and UpdateService
differ in how they make the row, and in nothing that ECS checks about it.
Sources: API reference, CreateService and UpdateService; Developer Guide, "Amazon ECS services".
"""

import re

from homeport.model.rules.deployment_configuration import check_configuration
from homeport.model.rules.launch import (
    check_constraints_together,
    check_launch_type,
    check_network,
    check_placement,
    check_platform_version,
)
from homeport.model.rules.names import NAME_PATTERN, is_name
from homeport.model.rules.service_load_balancers import check_entries
from homeport.model.rules.support import unsupported
from homeport.model.service import Service
from homeport.shapes import ecs as shapes

#: Quotas of ECS (General Reference): tasks of a service, services of a cluster.
MOST_TASKS = 5000
MOST_SERVICES = 5000
#: So many deployments (or task sets) of a service may have tasks at a time; ECS does not document it.
MOST_DEPLOYMENTS = 5
LONGEST_TOKEN = 36
LONGEST_GRACE_PERIOD = 2_147_483_647
ZONE = "attribute:ecs.availability-zone"
_TOKEN = re.compile(r"[!-~]{1,36}\Z")
_NOT_BUILT = (
    ("service_registries", "Service discovery"),
    ("volume_configurations", "Volumes that are configured at launch"),
    ("vpc_lattice_configurations", "VPC Lattice"),
    ("gateway_connectors", "Gateway connectors"),
    ("monitoring", "Monitoring configurations of services"),
    ("capacity_provider_strategy", "Capacity provider strategies"),
)
Request = shapes.CreateServiceRequest | shapes.UpdateServiceRequest | shapes.CreateTaskSetRequest


def check_service_name(name: str) -> None:
    if not name.strip():
        raise shapes.InvalidParameterException("Service name can not be blank.")
    if not is_name(name):
        raise shapes.InvalidParameterException(f"Service name must match {NAME_PATTERN}, but was {name}")


def check_token(token: str | None) -> None:
    if token is not None and not _TOKEN.match(token):
        raise shapes.InvalidParameterException(
            f"clientToken must be 1 to {LONGEST_TOKEN} ASCII characters in the range of 33 to 126."
        )


def check_not_built(request: Request) -> None:
    """Refuses what this version cannot do; empty lists and what is turned off ask for nothing."""
    for member, name in _NOT_BUILT:
        if getattr(request, member, None):
            raise shapes.UnsupportedFeatureException(f"{name} {_are(name)} not supported.")
    if isinstance(request, shapes.CreateTaskSetRequest):
        return
    connect = request.service_connect_configuration
    if connect is not None and connect.enabled:
        raise shapes.UnsupportedFeatureException("Service Connect is not supported.")
    if request.enable_execute_command:
        raise shapes.UnsupportedFeatureException("ECS Exec is not supported.")
    controller = request.deployment_controller
    if controller is not None and controller.type == "CODE_DEPLOY":
        raise shapes.UnsupportedFeatureException("The deployment controller CODE_DEPLOY is not supported.")


def _are(name: str) -> str:
    return "is" if name in ("Service discovery", "VPC Lattice") else "are"


def check_desired_count(count: int | None, scheduling: str, controller: str = "ECS") -> int:
    """The desired count; of DAEMON services ECS finds it itself, and it begins with 0.

    With EXTERNAL deployments nothing but a name has to be given (API reference, CreateService).
    """
    if scheduling == "DAEMON":
        if count is not None:
            raise shapes.InvalidParameterException(
                "The daemon scheduling strategy does not support a desired count for services."
                " Remove a desired count value and try again."
            )
        return 0
    if count is None and controller == "EXTERNAL":
        return 0
    if count is None:
        raise shapes.InvalidParameterException("desiredCount must be specified for REPLICA services.")
    if count < 0:
        raise shapes.InvalidParameterException("desiredCount can not be negative.")
    if count > MOST_TASKS:
        raise shapes.InvalidParameterException("Desired count exceeds limit.")
    return count


def check_service(service: Service, definition: shapes.TaskDefinition | None, *, has_lambda: bool = False) -> None:
    """Everything about a service that can be said without other rows. `definition`: None with EXTERNAL deployments.

    `has_lambda`: a Lambda endpoint is configured, so lifecycle hooks can be called.
    """
    check_placement(service.placement_constraints, service.placement_strategy)
    check_platform_version(service.launch_type, service.platform_version)
    check_configuration(service.deployment_configuration, service.scheduling_strategy, has_lambda=has_lambda)
    grace = service.health_check_grace_period_seconds
    if grace is not None and not 0 <= grace <= LONGEST_GRACE_PERIOD:
        raise shapes.InvalidParameterException(
            f"healthCheckGracePeriodSeconds must be between 0 and {LONGEST_GRACE_PERIOD}."
        )
    if service.role_arn is not None:
        _check_role(service)
    if service.scheduling_strategy == "DAEMON":
        _check_daemon(service)
    if service.deployment_controller == "EXTERNAL":
        _check_external(service)
    if definition is not None:
        check_constraints_together(definition, service.placement_constraints)
        check_workload(
            definition,
            service.launch_type,
            service.network_configuration,
            service.load_balancers,
            service.deployment_configuration.strategy or "ROLLING",
        )
    obstacle = rebalancing_obstacle(service)
    if service.availability_zone_rebalancing == "ENABLED" and obstacle is not None:
        raise shapes.InvalidParameterException(f"Availability Zone Rebalancing does not support {obstacle}.")


def check_workload(
    definition: shapes.TaskDefinition,
    launch_type: str | None,
    network: shapes.NetworkConfiguration | None,
    load_balancers: tuple[shapes.LoadBalancer, ...],
    strategy: str = "ROLLING",
) -> None:
    """What a revision of a service or a task set runs: the definition on its capacity, network and load balancers."""
    check_launch_type(definition, launch_type or "EC2")
    check_network(definition, network)
    lacking = unsupported(definition)
    if lacking is not None:
        raise shapes.UnsupportedFeatureException(f"Tasks that use {lacking} are not supported.")
    check_entries(load_balancers, definition, strategy)


def check_grace_period(service: Service, definition: shapes.TaskDefinition | None) -> None:
    """A grace period needs health checks to which it could apply; asked only of requests that give one."""
    containers = (definition.container_definitions if definition else None) or ()
    is_checked = service.load_balancers or any(container.health_check for container in containers)
    if service.health_check_grace_period_seconds and not is_checked and service.deployment_controller == "ECS":
        raise shapes.InvalidParameterException(
            "Health check grace period is only valid for services configured to use load balancers."
        )


def _check_role(service: Service) -> None:
    """A role of the caller's own is for one load balancer; anything more takes ECS's service-linked role."""
    if service.deployment_controller == "EXTERNAL" or len(service.load_balancers) > 1:
        raise shapes.InvalidParameterException(
            "You cannot specify an IAM role for services that require a service linked role."
        )
    if not service.load_balancers:
        raise shapes.InvalidParameterException("A role can only be specified for services with load balancers.")


def _check_daemon(service: Service) -> None:
    if service.deployment_controller != "ECS":
        raise shapes.InvalidParameterException(
            f"The daemon scheduling strategy is not supported with the {service.deployment_controller} deployment controller."
        )
    if service.placement_strategy:
        raise shapes.InvalidParameterException(
            "The daemon scheduling strategy does not support placement strategies. Remove them and try again."
        )


def _check_external(service: Service) -> None:
    """With EXTERNAL deployments it is the task sets that say what runs, and their controller who judges it."""
    if service.task_definition_arn is not None and service.primary_task_set_id is None:
        raise shapes.InvalidParameterException("TaskDefinition must be blank")
    if service.load_balancers:
        raise shapes.InvalidParameterException("LoadBalancers must be empty or null")
    for name, value in (
        ("networkConfiguration", service.network_configuration),
        ("platformVersion", service.platform_version),
    ):
        if value:
            raise shapes.InvalidParameterException(
                f"{name} can not be specified for services with an EXTERNAL deployment controller."
            )
    if service.deployment_configuration.strategy != "ROLLING":
        raise shapes.InvalidParameterException(
            "Deployment strategies can not be specified for services with an EXTERNAL deployment controller."
        )
    breaker = service.deployment_configuration.deployment_circuit_breaker
    if breaker is not None and breaker.enable:
        raise shapes.InvalidParameterException(
            "The deployment circuit breaker can only be used with the ECS deployment controller."
        )


def rebalancing_obstacle(service: Service) -> str | None:
    """What of the service keeps its tasks from being rebalanced over Availability Zones; None if they can be.

    Source: Developer Guide, "Balancing an Amazon ECS service across Availability Zones".
    """
    first = next(iter(service.placement_strategy), None)
    obstacles = {
        "DAEMON services": service.scheduling_strategy == "DAEMON",
        f"the {service.deployment_controller} deployment controller": service.deployment_controller != "ECS",
        "the EXTERNAL launch type": service.launch_type == "EXTERNAL",
        "a maximumPercent of 100": (service.deployment_configuration.maximum_percent or 0) <= 100,
        "placement strategies that do not begin with a spread over Availability Zones": first is not None
        and not (first.type == "spread" and first.field == ZONE),
        "placement constraints on the Availability Zone": any(
            ZONE in (constraint.expression or "") for constraint in service.placement_constraints
        ),
    }
    return next((name for name, is_there in obstacles.items() if is_there), None)
