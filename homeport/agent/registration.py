"""This host becomes a container instance: RegisterContainerInstance and what may go wrong with it.

As the Amazon ECS agent: the answer must echo every attribute sent; the default cluster is made when it does not exist;
a saved ARN is registered again. Unlike it: when the saved instance is INACTIVE the agent forgets it and joins as a new
one, instead of refusing to run until somebody wipes its data directory.
"""

import random

from msgspec.structs import replace

from homeport.agent.backend import Backend, Refused
from homeport.base.backoff import backoff_seconds
from homeport.base.clock import Clock
from homeport.base.errors import Permanent, Transient
from homeport.base.log import get_logger
from homeport.shapes import ecs

log = get_logger("registration")
_TERMINAL = {"ClientException", "InvalidParameterException"}
DEFAULT_CLUSTER = "default"


class RegistrationRefused(Permanent):
    """The control plane will not have this host. `is_terminal`: trying again cannot help (exit code 5)."""

    def __init__(self, text: str, *, is_terminal: bool) -> None:
        super().__init__(text)
        self.is_terminal = is_terminal


async def register(
    backend: Backend, request: ecs.RegisterContainerInstanceRequest, clock: Clock, rng: random.Random
) -> ecs.ContainerInstance:
    """Register until there is an answer. Raises RegistrationRefused."""
    attempt = 0
    while True:
        try:
            return await _register_once(backend, request)
        except Transient as error:
            log.info("registration_delayed", error=str(error), attempt=attempt)
            await clock.sleep(backoff_seconds(attempt, first=0.25, factor=1.5, most=10, rng=rng))
            attempt += 1


async def _register_once(backend: Backend, request: ecs.RegisterContainerInstanceRequest) -> ecs.ContainerInstance:
    try:
        return _checked(request, await backend.call("RegisterContainerInstance", request))
    except Refused as error:
        if _is_cluster_missing(error) and request.cluster == DEFAULT_CLUSTER:
            await _create_default_cluster(backend)
        elif error.code in _TERMINAL and request.container_instance_arn is not None:
            log.warning("saved_instance_refused", arn=request.container_instance_arn, error=str(error))
            request = replace(request, container_instance_arn=None)
        else:
            raise RegistrationRefused(str(error), is_terminal=error.code in _TERMINAL) from error
    try:
        return _checked(request, await backend.call("RegisterContainerInstance", request))
    except Refused as error:
        raise RegistrationRefused(str(error), is_terminal=error.code in _TERMINAL) from error


def _is_cluster_missing(error: Refused) -> bool:
    return error.code == "ClusterNotFoundException" or "Cluster not found." in error.message


async def _create_default_cluster(backend: Backend) -> None:
    try:
        await backend.call("CreateCluster", ecs.CreateClusterRequest(cluster_name=DEFAULT_CLUSTER))
    except Refused as error:
        raise RegistrationRefused(str(error), is_terminal=False) from error


def _checked(
    request: ecs.RegisterContainerInstanceRequest, response: ecs.RegisterContainerInstanceResponse
) -> ecs.ContainerInstance:
    instance = response.container_instance
    if instance is None or not instance.container_instance_arn:
        raise RegistrationRefused("the answer names no container instance", is_terminal=True)
    echoed = {attribute.name: attribute.value or "" for attribute in instance.attributes or ()}
    for attribute in request.attributes or ():
        if echoed.get(attribute.name) != (attribute.value or ""):
            raise RegistrationRefused(f"attribute {attribute.name} was not accepted", is_terminal=True)
    return instance
