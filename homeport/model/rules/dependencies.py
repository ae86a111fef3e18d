"""How the containers of a task hang together: dependsOn, links, volumesFrom, essential.

Source: API reference of ContainerDefinition and ContainerDependency. A cycle in any of the three kinds of edges would
keep the task from ever starting, so it is refused here.
"""

from collections.abc import Mapping

from homeport.model.rules.network import link_target
from homeport.shapes import ecs as shapes

_FINISHED = ("COMPLETE", "SUCCESS")


def check_dependencies(containers: tuple[shapes.ContainerDefinition, ...]) -> None:
    """Essential rule, names that exist, conditions that can come true, no cycles. Container names are unique by now."""
    if not any(is_essential(container) for container in containers):
        raise shapes.ClientException("A task definition must have at least one essential container.")
    by_name = {container.name or "": container for container in containers}
    for container in containers:
        _check_depends_on(container, by_name)
        _check_links(container, by_name)
        _check_volumes_from(container, by_name)
    links = {name: [link_target(link) or "" for link in one.links or ()] for name, one in by_name.items()}
    if has_cycle(links):
        raise shapes.ClientException("Container links should not have a cycle")
    every = {name: [*links[name], *_other_edges(one)] for name, one in by_name.items()}
    if has_cycle(every):
        raise shapes.ClientException("Container dependencies should not have a cycle")


def is_essential(container: shapes.ContainerDefinition) -> bool:
    """True where it is not said otherwise."""
    return container.essential is not False


def _other_edges(container: shapes.ContainerDefinition) -> list[str]:
    depends_on = [dependency.container_name for dependency in container.depends_on or ()]
    return depends_on + [source.source_container or "" for source in container.volumes_from or ()]


def _check_depends_on(container: shapes.ContainerDefinition, by_name: Mapping[str, shapes.ContainerDefinition]) -> None:
    seen: set[str] = set()
    for dependency in container.depends_on or ():
        name = dependency.container_name
        if name not in by_name:
            raise shapes.ClientException(f"Cannot depend on container + '{name}' because it does not exist")
        if name == container.name:
            raise shapes.ClientException(f"Container '{name}' cannot depend on itself")
        if name in seen:
            raise shapes.ClientException(f"Container '{container.name}' depends on container '{name}' more than once")
        seen.add(name)
        if dependency.condition in _FINISHED and is_essential(by_name[name]):
            raise shapes.ClientException(
                "A dependency container with SUCCESS or COMPLETE condition cannot be an essential container"
            )
        if dependency.condition == "HEALTHY" and by_name[name].health_check is None:
            raise shapes.ClientException(
                f"Container '{container.name}' depends on container '{name}' with condition HEALTHY,"
                " but no health check is defined for it"
            )


def _check_links(container: shapes.ContainerDefinition, by_name: Mapping[str, object]) -> None:
    for link in container.links or ():
        target = link_target(link)
        if target is None or target not in by_name:
            raise shapes.ClientException(f"Invalid link '{link}' for container '{container.name}'.")


def _check_volumes_from(container: shapes.ContainerDefinition, by_name: Mapping[str, object]) -> None:
    for source in container.volumes_from or ():
        name = source.source_container
        if name not in by_name or name == container.name:
            raise shapes.ClientException(f"Invalid 'volumesFrom' setting: unknown container '{name or 'null'}'.")


def has_cycle(edges: Mapping[str, list[str]]) -> bool:
    """Whether following the edges can lead back to where one started (Kahn's algorithm; unknown targets are ignored)."""
    waiting = {name: {target for target in targets if target in edges} for name, targets in edges.items()}
    while waiting:
        free = [name for name, targets in waiting.items() if not targets]
        if not free:
            return True
        for name in free:
            del waiting[name]
        for targets in waiting.values():
            targets.difference_update(free)
    return False
