"""The metadata routes of the task endpoint: `/v3/ID`, `/v4/ID` and what lies below them.

Errors are bare JSON strings. An unknown id is 500 in version 3 and 404 in version 4; version 2 knows tasks by the
address of their own network interface, which no task here has, so it always answers 400. Source: agent protocol, C1.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from homeport.agent.backend import Backend, Refused
from homeport.agent.docker_stats import StatsReader
from homeport.agent.looking import Host
from homeport.agent.metadata_view import Surroundings, View, container_view, task_view
from homeport.agent.record import ContainerRecord, TaskRecord
from homeport.base.errors import Transient
from homeport.base.log import get_logger
from homeport.shapes import ecs

log = get_logger("task endpoint")
Found = tuple[TaskRecord, ContainerRecord]


def answer(body: Any, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")


class Metadata:
    """Handlers; `cluster` is the configured name or ARN."""

    def __init__(self, host: Host, backend: Backend, stats: StatsReader, cluster: str) -> None:
        self._host = host
        self._backend = backend
        self._stats = stats
        self._cluster = cluster

    def add_routes(self, app: web.Application) -> None:
        for version in (3, 4):
            base = f"/v{version}/{{id}}"
            for suffix, handler in (
                ("", self._container),
                ("/task", self._task),
                ("/taskWithTags", self._task_with_tags),
                ("/stats", self._container_stats),
                ("/task/stats", self._task_stats),
                ("/associations/{type}", self._associations),
                ("/associations/{type}/{name}", self._association),
            ):
                app.router.add_get(base + suffix, self._bound(version, handler))
        for path in ("metadata", "metadata/{id}", "metadataWithTags", "metadataWithTags/{id}", "stats", "stats/{id}"):
            app.router.add_get(f"/v2/{path}", _unknown_address)

    def _bound(
        self, version: int, handler: Callable[[int, Found, web.Request], Awaitable[web.Response]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        """A handler that is given the task and container of the id in the path."""

        async def handle(request: web.Request) -> web.Response:
            found = self._host.tasks.by_endpoint_id(request.match_info["id"])
            if found is None:
                text = f"V{version} metadata handler: no container has the endpoint id {request.match_info['id']}"
                return answer(text, 404 if version >= 4 else 500)
            return await handler(version, found, request)

        return handle

    @property
    def _around(self) -> Surroundings:
        return Surroundings(cluster=self._cluster, availability_zone=self._host.identity.availability_zone)

    async def _container(self, version: int, found: Found, _request: web.Request) -> web.Response:
        return answer(container_view(*found, version))

    async def _task(self, version: int, found: Found, _request: web.Request) -> web.Response:
        return answer(task_view(found[0], self._around, version))

    async def _task_with_tags(self, version: int, found: Found, _request: web.Request) -> web.Response:
        """Tags that cannot be had are left out; version 4 says why."""
        view, task = task_view(found[0], self._around, version), found[0]
        errors: list[View] = []
        instance = self._host.instance
        for field, arn in (
            ("ContainerInstanceTags", None if instance is None else instance.arn),
            ("TaskTags", task.arn),
        ):
            if arn is None:
                continue
            try:
                tags = await self._tags(arn)
            except (Refused, Transient) as error:
                log.warning("tags_unavailable", resource=arn, error=str(error))
                errors.append(_tag_error(field, arn, error))
            else:
                if tags:
                    view[field] = tags
        if errors and version >= 4:
            view["Errors"] = errors
        return answer(view)

    async def _tags(self, arn: str) -> dict[str, str]:
        response = await self._backend.call("ListTagsForResource", ecs.ListTagsForResourceRequest(resource_arn=arn))
        return {tag.key or "": tag.value or "" for tag in response.tags or ()}

    async def _container_stats(self, _version: int, found: Found, _request: web.Request) -> web.Response:
        return answer(await self._stats.read(found[1].docker_id or ""))

    async def _task_stats(self, _version: int, found: Found, _request: web.Request) -> web.Response:
        ids = [container.docker_id for container in found[0].containers if container.docker_id]
        readings = await asyncio.gather(*(self._stats.read(docker_id) for docker_id in ids))
        return answer(dict(zip(ids, readings, strict=True)))

    async def _associations(self, _version: int, found: Found, request: web.Request) -> web.Response:
        return answer({"Associations": _names(found, request.match_info["type"])})

    async def _association(self, version: int, found: Found, request: web.Request) -> web.Response:
        """An association's content; those of this agent (GPUs) have none."""
        if request.match_info["name"] in _names(found, request.match_info["type"]):
            return web.Response(text="", content_type="application/json")
        return answer(f"no association {request.match_info['name']}", 404 if version >= 4 else 500)


async def _unknown_address(_request: web.Request) -> web.Response:
    return answer("V2 metadata handler: no task has its own network interface with this address", 400)


def _names(found: Found, kind: str) -> list[str]:
    task, container = found
    return [
        each.name for each in task.spec.associations or () if each.type == kind and container.name in each.containers
    ]


def _tag_error(field: str, arn: str, error: Refused | Transient) -> View:
    """`StatusCode` 500 stands for no answer as well."""
    is_refused = isinstance(error, Refused)
    return {
        "ErrorField": field,
        "ErrorCode": error.code if isinstance(error, Refused) else "ServerException",
        "ErrorMessage": error.message if isinstance(error, Refused) else str(error),
        "StatusCode": 400 if is_refused else 500,
        "ResourceARN": arn,
    }
