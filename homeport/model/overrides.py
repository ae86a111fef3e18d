"""Overrides: a task definition as one particular task runs it.

RunTask and StartTask may replace some fields of the task definition and of its containers. Merging is done here, once,
so that placement, the payload for the agent and the answer to the caller agree on what the task takes and runs.
Environment variables are merged by name (the override wins, new ones follow); every other field is replaced whole.
Source: ECS API reference, TaskOverride and ContainerOverride.
"""

import msgspec
from msgspec.structs import replace

from homeport.model.rules.sizes import check_sizes, cpu_units, memory_mib
from homeport.shapes import ecs as shapes

#: Longest overrides document, in characters of JSON (API reference, RunTask).
LONGEST = 8192
NO_OVERRIDE = shapes.TaskOverride()
_REPLACED = ("command", "environment_files", "cpu", "memory", "memory_reservation", "resource_requirements")
_OF_TASK = ("cpu", "memory", "task_role_arn", "execution_role_arn")


def check_overrides(definition: shapes.TaskDefinition, overrides: shapes.TaskOverride) -> None:
    """Raises InvalidParameterException for overrides that no task of this definition can have."""
    if overrides == NO_OVERRIDE:
        return
    if len(msgspec.json.encode(overrides).decode()) > LONGEST:
        raise shapes.InvalidParameterException(f"Overrides length must be at most {LONGEST}.")
    if overrides.inference_accelerator_overrides:
        raise shapes.InvalidParameterException("Inference accelerators are no longer supported.")
    if overrides.ephemeral_storage is not None:
        raise shapes.InvalidParameterException("Ephemeral storage overrides are only valid for tasks on Fargate.")
    names = {container.name for container in definition.container_definitions or ()}
    seen: set[str] = set()
    for override in overrides.container_overrides or ():
        _check_container_override(override, names, seen)
    effective = effective_definition(definition, overrides)
    check_sizes(effective.container_definitions or (), *task_size(effective))


def _check_container_override(override: shapes.ContainerOverride, names: set[str | None], seen: set[str]) -> None:
    if not override.name:
        raise shapes.InvalidParameterException("Container override must have a name.")
    if override.name not in names:
        raise shapes.InvalidParameterException(
            f"Override for container named {override.name} is not a container in the TaskDefinition."
        )
    if override.name in seen:
        raise shapes.InvalidParameterException(f"Container {override.name} has more than one override.")
    seen.add(override.name)
    for pair in override.environment or ():
        if not pair.name:
            raise shapes.InvalidParameterException("Environment variable names can not be blank.")
    for requirement in override.resource_requirements or ():
        value = requirement.value or ""
        if (
            requirement.type == "GPU"
            and value != "ALL"
            and not (value.isascii() and value.isdigit() and len(value) < 4)
        ):
            raise shapes.InvalidParameterException("The value of a GPU resource requirement must be a whole number.")


def effective_definition(
    definition: shapes.TaskDefinition, overrides: shapes.TaskOverride = NO_OVERRIDE
) -> shapes.TaskDefinition:
    """The definition with the overrides merged in; the same object where there is nothing to merge.

    Most tasks override nothing, yet have an entry with a name for each container (`complete_overrides`).
    """
    given = overrides.container_overrides or ()
    by_name = {each.name: each for each in given if each != shapes.ContainerOverride(name=each.name)}
    if not by_name and all(getattr(overrides, name) is None for name in _OF_TASK):
        return definition
    return replace(
        definition,
        cpu=definition.cpu if overrides.cpu is None else overrides.cpu,
        memory=definition.memory if overrides.memory is None else overrides.memory,
        task_role_arn=overrides.task_role_arn or definition.task_role_arn,
        execution_role_arn=overrides.execution_role_arn or definition.execution_role_arn,
        container_definitions=tuple(
            with_override(container, by_name.get(container.name))
            for container in definition.container_definitions or ()
        ),
    )


def with_override(
    container: shapes.ContainerDefinition, override: shapes.ContainerOverride | None
) -> shapes.ContainerDefinition:
    """One container as its override changes it."""
    if override is None:
        return container
    changes = {name: value for name in _REPLACED if (value := getattr(override, name)) is not None}
    if override.environment:
        merged = {pair.name: pair for pair in container.environment or ()}
        merged.update((pair.name, pair) for pair in override.environment)
        changes["environment"] = tuple(merged.values())
    return replace(container, **changes)


def complete_overrides(definition: shapes.TaskDefinition, overrides: shapes.TaskOverride) -> shapes.TaskOverride:
    """The overrides as ECS shows them: one entry for each container, in the definition's order."""
    by_name = {override.name: override for override in overrides.container_overrides or ()}
    return replace(
        overrides,
        container_overrides=tuple(
            by_name.get(container.name) or shapes.ContainerOverride(name=container.name)
            for container in definition.container_definitions or ()
        ),
        inference_accelerator_overrides=overrides.inference_accelerator_overrides or (),
    )


def task_size(definition: shapes.TaskDefinition) -> tuple[int | None, int | None]:
    """CPU units and MiB of the task as a whole, where they are set; raises ClientException for a malformed size."""
    return (
        None if definition.cpu is None else cpu_units(definition.cpu),
        None if definition.memory is None else memory_mib(definition.memory),
    )
