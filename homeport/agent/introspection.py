"""The introspection endpoint: an operator on the host asks the agent what it runs. Source: agent protocol, C2."""

from importlib.metadata import PackageNotFoundError, version

from aiohttp import web

from homeport.agent.looking import Host
from homeport.agent.metadata import answer
from homeport.agent.metadata_view import introspection_view
from homeport.agent.record import TaskRecord

_COMMANDS = ("/v1/metadata", "/v1/tasks")
_NO_TASK = {"Arn": "", "DesiredStatus": "", "KnownStatus": "", "Family": "", "Version": "", "Containers": None}


def introspection_app(host: Host, cluster: str) -> web.Application:
    """`cluster` is the configured name or ARN."""

    async def metadata(_request: web.Request) -> web.Response:
        arn = None if host.instance is None else host.instance.arn
        return answer({"Cluster": cluster, "ContainerInstanceArn": arn, "Version": f"Homeport agent - v{_version()}"})

    async def tasks(request: web.Request) -> web.Response:
        """All tasks; or one, by ARN or by the (if need be, shortened) id of one of its containers."""
        if "taskarn" not in request.query and "dockerid" not in request.query:
            return answer({"Tasks": [introspection_view(task) for task in host.tasks.all()]})
        if "taskarn" in request.query and "dockerid" in request.query:
            return answer("Request contains both dockerid and taskarn. Expect at most one of these.", 400)
        found = (
            host.tasks.by_arn(request.query["taskarn"])
            if "taskarn" in request.query
            else _by_docker_id(host, request.query["dockerid"])
        )
        return answer(_NO_TASK, 404) if found is None else answer(introspection_view(found))

    async def commands(_request: web.Request) -> web.Response:
        return answer({"AvailableCommands": _COMMANDS})

    app = web.Application()
    app.router.add_get("/v1/metadata", metadata)
    app.router.add_get("/v1/tasks", tasks)
    app.router.add_get("/{anything:.*}", commands)
    return app


def _by_docker_id(host: Host, docker_id: str) -> TaskRecord | None:
    """The task of the only container whose id starts so."""
    if not docker_id:
        return None
    found = [
        task
        for task in host.tasks.all()
        for container in task.containers
        if (container.docker_id or "").startswith(docker_id)
    ]
    return found[0] if len(found) == 1 else None


def _version() -> str:
    try:
        return version("homeport")
    except PackageNotFoundError:
        return "0"
