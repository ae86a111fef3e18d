"""Overrides: what may be overridden, and what comes out."""

import pytest

from homeport.base.errors import ApiError
from homeport.model.overrides import check_overrides, complete_overrides, effective_definition
from homeport.shapes import ecs as shapes


def pair(name, value) -> shapes.KeyValuePair:
    return shapes.KeyValuePair(name=name, value=value)


DEFINITION = shapes.TaskDefinition(
    family="web",
    cpu="256",
    memory="512",
    container_definitions=(
        shapes.ContainerDefinition(
            name="main", image="i", memory=64, command=("a",), environment=(pair("A", "1"), pair("B", "2"))
        ),
        shapes.ContainerDefinition(name="side", image="i", memory=64),
    ),
)


def override(**members) -> shapes.TaskOverride:
    return shapes.TaskOverride(container_overrides=(shapes.ContainerOverride(**({"name": "main"} | members)),))


def test_effective_definition_when_nothing_is_overridden_then_the_same_object():
    assert effective_definition(DEFINITION) is DEFINITION
    assert effective_definition(DEFINITION, complete_overrides(DEFINITION, shapes.TaskOverride())) is DEFINITION


def test_effective_definition_when_overridden_then_environment_merged_and_rest_replaced():
    changed = effective_definition(
        DEFINITION, override(command=("b", "c"), environment=(pair("B", "3"), pair("C", "4")), cpu=5)
    )
    main, side = changed.container_definitions
    assert main.command == ("b", "c")
    assert main.environment == (pair("A", "1"), pair("B", "3"), pair("C", "4"))
    assert main.cpu == 5
    assert side is DEFINITION.container_definitions[1]
    roles = effective_definition(DEFINITION, shapes.TaskOverride(task_role_arn="x", cpu="512"))
    assert (roles.task_role_arn, roles.cpu, roles.memory) == ("x", "512", "512")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (override(name="ghost"), "Override for container named ghost is not a container in the TaskDefinition."),
        (override(name=None), "Container override must have a name."),
        (override(environment=(pair("A", "x" * 8192),)), "Overrides length must be at most 8192."),
        (override(environment=(pair("", "x"),)), "Environment variable names can not be blank."),
        (override(memory=1), "Invalid 'memory' setting for container 'main'."),
        (override(memory=1024), "The 'memory' setting for container 'main' is greater than for the task."),
        (override(cpu=300), "The total 'cpu' setting of the containers is greater than for the task."),
        (override(cpu=-1), "Invalid 'cpu' setting for container 'main'."),
        (shapes.TaskOverride(cpu="lots"), "Invalid 'cpu' setting for task."),
        (
            override(resource_requirements=(shapes.ResourceRequirement(type="GPU", value="x"),)),
            "The value of a GPU resource requirement must be a whole number.",
        ),
        (
            shapes.TaskOverride(container_overrides=(shapes.ContainerOverride(name="main"),) * 2),
            "Container main has more than one override.",
        ),
        (
            shapes.TaskOverride(ephemeral_storage=shapes.EphemeralStorage(size_in_gi_b=30)),
            "Ephemeral storage overrides are only valid for tasks on Fargate.",
        ),
    ],
)
def test_check_overrides_when_invalid_then_refused(overrides, message):
    with pytest.raises(ApiError) as caught:
        check_overrides(DEFINITION, overrides)
    assert caught.value.message == message
    assert caught.value.status == 400


def test_check_overrides_when_fine_then_silent():
    check_overrides(DEFINITION, shapes.TaskOverride())
    check_overrides(DEFINITION, override(command=(), cpu=100, memory=128, memory_reservation=64))
