"""Edges between containers: dependsOn, links, volumesFrom, and the essential rule."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeport.model.rules import dependencies
from homeport.shapes import ecs as shapes
from tests.unit.model.definitions import a_container

CHECK = shapes.HealthCheck(command=("CMD-SHELL", "true"))


def on(name, condition="START"):
    return shapes.ContainerDependency(container_name=name, condition=condition)


def source(name):
    return shapes.VolumeFrom(source_container=name)


@pytest.mark.parametrize(
    "containers",
    [
        (a_container("a"),),
        (a_container("a", essential=False), a_container("b")),
        (a_container("a", depends_on=(on("b"),)), a_container("b")),
        (a_container("a", depends_on=(on("b", "HEALTHY"),)), a_container("b", health_check=CHECK)),
        (a_container("a", depends_on=(on("b", "SUCCESS"), on("c", "COMPLETE"))),
         a_container("b", essential=False), a_container("c", essential=False)),
        (a_container("a", links=("b", "c:alias")), a_container("b"), a_container("c")),
        (a_container("a", volumes_from=(source("b"),)), a_container("b")),
    ],
)  # fmt: skip
def test_dependencies_when_sound_then_pass(containers):
    dependencies.check_dependencies(containers)


@pytest.mark.parametrize(
    ("containers", "sentence"),
    [
        ((a_container("a", essential=False),), "A task definition must have at least one essential container."),
        ((a_container("a", depends_on=(on("z"),)),), "Cannot depend on container + 'z' because it does not exist"),
        ((a_container("a", depends_on=(on("a"),)),), "Container 'a' cannot depend on itself"),
        ((a_container("a", depends_on=(on("b"), on("b"))), a_container("b")),
         "Container 'a' depends on container 'b' more than once"),
        ((a_container("a", depends_on=(on("b", "SUCCESS"),)), a_container("b")),
         "A dependency container with SUCCESS or COMPLETE condition cannot be an essential container"),
        ((a_container("a", depends_on=(on("b", "COMPLETE"),)), a_container("b", essential=True)),
         "A dependency container with SUCCESS or COMPLETE condition cannot be an essential container"),
        ((a_container("a", depends_on=(on("b", "HEALTHY"),)), a_container("b")),
         "Container 'a' depends on container 'b' with condition HEALTHY, but no health check is defined for it"),
        ((a_container("a", links=("z",)),), "Invalid link 'z' for container 'a'."),
        ((a_container("a", links=("b:c:d",)), a_container("b")), "Invalid link 'b:c:d' for container 'a'."),
        ((a_container("a", links=("b",)), a_container("b", links=("a",))), "Container links should not have a cycle"),
        ((a_container("a", depends_on=(on("b"),)), a_container("b", depends_on=(on("c"),)),
          a_container("c", depends_on=(on("a"),))), "Container dependencies should not have a cycle"),
        ((a_container("a", volumes_from=(source("b"),)), a_container("b", depends_on=(on("a"),))),
         "Container dependencies should not have a cycle"),
        ((a_container("a", volumes_from=(source("z"),)),), "Invalid 'volumesFrom' setting: unknown container 'z'."),
        ((a_container("a", volumes_from=(source(None),)),), "Invalid 'volumesFrom' setting: unknown container 'null'."),
        ((a_container("a", volumes_from=(source("a"),)),), "Invalid 'volumesFrom' setting: unknown container 'a'."),
    ],
)  # fmt: skip
def test_dependencies_when_unsound_then_refused_with_the_sentence(containers, sentence):
    with pytest.raises(shapes.ClientException) as caught:
        dependencies.check_dependencies(containers)
    assert caught.value.message == sentence


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=16))
@settings(max_examples=150)
def test_has_cycle_when_compared_with_walking_every_path_then_agrees(pairs):
    edges = {str(node): [str(b) for a, b in pairs if a == node] for node in range(8)}

    def returns(start, node, seen):
        return any(
            target == start or (target not in seen and returns(start, target, seen | {target}))
            for target in edges[node]
        )

    assert dependencies.has_cycle(edges) == any(returns(node, node, set()) for node in edges)
