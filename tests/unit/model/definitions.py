"""Builders of requests for the tests of rules: as little as ECS accepts, and what a test adds to it."""

from homeport.shapes import ecs as shapes


def a_container(name="app", **settings):
    settings.setdefault("image", "busybox")
    settings.setdefault("memory", 64)
    return shapes.ContainerDefinition(name=name, **settings)


def a_request(*containers, **settings):
    """A RegisterTaskDefinition request; with no containers given, of one plain container."""
    settings.setdefault("family", "web")
    return shapes.RegisterTaskDefinitionRequest(container_definitions=containers or (a_container(),), **settings)


def a_fargate_request(*containers, **settings):
    """The smallest that Fargate takes: 256 CPU units and 512 MiB in awsvpc."""
    settings = {"network_mode": "awsvpc", "cpu": "256", "memory": "512", **settings}
    return a_request(*(containers or (a_container(memory=None),)), **settings)
