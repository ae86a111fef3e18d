"""CPU and memory: task against container, and Fargate's table.

CPU in units (1 024 = one vCPU), memory in MiB. Sources: API reference of RegisterTaskDefinition and
ContainerDefinition; Developer Guide "Fargate task sizes".
"""

import re

from homeport.shapes import ecs as shapes

#: What a task on EC2 may ask for at the task level, in CPU units.
LEAST_TASK_CPU = 128
MOST_TASK_CPU = 196_608
#: Docker 20.10 and later refuse a container with less memory than this many MiB.
LEAST_CONTAINER_MEMORY = 6

_CPU = re.compile(r"\s*(\d{1,7})\s*\Z")
_VCPU = re.compile(r"\s*(\d{0,4}(?:\.\d{1,6})?)\s*v?cpu\s*\Z", re.IGNORECASE)
_MEMORY = re.compile(r"\s*(\d{1,9})\s*(?:MB)?\s*\Z", re.IGNORECASE)
_GIGABYTES = re.compile(r"\s*(\d{0,6}(?:\.\d{1,6})?)\s*GB\s*\Z", re.IGNORECASE)

_GIB = 1024
#: CPU units -> the memory sizes (MiB) that Fargate has for them.
FARGATE_SIZES: dict[int, frozenset[int]] = {
    256: frozenset({512, 1 * _GIB, 2 * _GIB}),
    512: frozenset(range(1 * _GIB, 4 * _GIB + 1, _GIB)),
    1024: frozenset(range(2 * _GIB, 8 * _GIB + 1, _GIB)),
    2048: frozenset(range(4 * _GIB, 16 * _GIB + 1, _GIB)),
    4096: frozenset(range(8 * _GIB, 30 * _GIB + 1, _GIB)),
    8192: frozenset(range(16 * _GIB, 60 * _GIB + 1, 4 * _GIB)),
    16384: frozenset(range(32 * _GIB, 120 * _GIB + 1, 8 * _GIB)),
    32768: frozenset({60 * _GIB, 120 * _GIB, 244 * _GIB}),
}


def cpu_units(text: str) -> int:
    """CPU units of a task-level `cpu`: `1024` and `1 vCPU` are the same."""
    units = _amount(text, _CPU, _VCPU, 1024)
    if units is None or not LEAST_TASK_CPU <= units <= MOST_TASK_CPU:
        raise shapes.ClientException("Invalid 'cpu' setting for task.")
    return units


def memory_mib(text: str) -> int:
    """MiB of a task-level `memory`: `2048` and `2 GB` are the same."""
    mib = _amount(text, _MEMORY, _GIGABYTES, _GIB)
    if mib is None or mib < LEAST_CONTAINER_MEMORY:
        raise shapes.ClientException("Invalid 'memory' setting for task.")
    return mib


def _amount(text: str, plain: re.Pattern[str], scaled: re.Pattern[str], factor: int) -> int | None:
    found = plain.match(text)
    if found:
        return int(found[1])
    found = scaled.match(text)
    if not found or not found[1]:
        return None
    amount = float(found[1]) * factor
    return int(amount) if amount == int(amount) else None


def check_sizes(containers: tuple[shapes.ContainerDefinition, ...], cpu: int | None, memory: int | None) -> None:
    """Every container has memory, in the task's or its own right, and no container asks for more than its task has."""
    for container in containers:
        _check_container(container, memory)
    if cpu is not None and sum(container.cpu or 0 for container in containers) > cpu:
        raise shapes.ClientException("The total 'cpu' setting of the containers is greater than for the task.")
    if memory is not None and sum(_reserved(container) for container in containers) > memory:
        raise shapes.ClientException("The total 'memory' setting of the containers is greater than for the task.")


def _reserved(container: shapes.ContainerDefinition) -> int:
    """MiB that a container takes of its task: the soft limit, else the hard one."""
    return container.memory_reservation or container.memory or 0


def _check_container(container: shapes.ContainerDefinition, task_memory: int | None) -> None:
    name = container.name
    if container.cpu is not None and container.cpu < 0:
        raise shapes.ClientException(f"Invalid 'cpu' setting for container '{name}'.")
    for setting, value in (("memory", container.memory), ("memoryReservation", container.memory_reservation)):
        if value is not None and value < LEAST_CONTAINER_MEMORY:
            raise shapes.ClientException(f"Invalid '{setting}' setting for container '{name}'.")
        if value is not None and task_memory is not None and value > task_memory:
            raise shapes.ClientException(
                f"The '{setting}' setting for container '{name}' is greater than for the task."
            )
    if container.memory is None and container.memory_reservation is None:
        if task_memory is None:
            raise shapes.ClientException(
                f"Invalid setting for container '{name}'. At least one of 'memory' or 'memoryReservation' must be specified."
            )
    elif container.memory is not None and container.memory < (container.memory_reservation or 0):
        raise shapes.ClientException(
            f"Invalid setting for container '{name}'. 'memory' must be greater than or equal to 'memoryReservation'."
        )


def check_fargate_size(cpu: int | None, memory: int | None) -> None:
    """The pair is one that Fargate has."""
    if cpu is None:
        raise shapes.ClientException("Fargate requires that 'cpu' be defined at the task level.")
    if memory is None:
        raise shapes.ClientException("Fargate requires that 'memory' be defined at the task level.")
    if memory not in FARGATE_SIZES.get(cpu, ()):
        raise shapes.ClientException(
            f"No Fargate configuration exists for given values: {cpu} CPU, {memory} memory."
            " See the Amazon ECS documentation for the valid values."
        )
