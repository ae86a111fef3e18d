"""`$ECS_AGENT_URI` of a task: it asks to be protected from scale-in, signed with its own role.

Signing with the task's role is what makes the request the task's own: the control plane lets a role speak for its task
only. Fault injection, which lives below the same address, is refused as on a task that has it switched off. Source:
ECS Developer Guide, "Task scale-in protection endpoint"; agent protocol, C1.
"""

import asyncio
from typing import Any

import msgspec
from aiohttp import web
from msgspec import Struct

from homeport.agent.backend import Backend, Refused
from homeport.agent.credentials import TASK_ROLE, Credentials
from homeport.agent.looking import Host
from homeport.agent.metadata import answer
from homeport.base.clock import iso8601
from homeport.base.errors import Transient
from homeport.shapes import ecs

_ANSWER_SECONDS = 4.0
_PATH = "/api/{id}/task-protection/v1/state"


class _Wanted(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a PUT."""

    protection_enabled: bool = msgspec.field(name="ProtectionEnabled")
    expires_in_minutes: int | None = msgspec.field(name="ExpiresInMinutes", default=None)


class Protection:
    """Handlers; `cluster` is the configured name or ARN."""

    def __init__(self, host: Host, backend: Backend, credentials: Credentials, cluster: str) -> None:
        self._host = host
        self._backend = backend
        self._credentials = credentials
        self._cluster = cluster

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get(_PATH, self._get)
        app.router.add_put(_PATH, self._put)
        app.router.add_post("/api/{id}/fault/v1/{fault}/{action}", self._fault)

    def _task_arn(self, request: web.Request) -> str | None:
        found = self._host.tasks.by_endpoint_id(request.match_info["id"])
        return None if found is None else found[0].arn

    async def _get(self, request: web.Request) -> web.Response:
        arn = self._task_arn(request)
        if arn is None:
            return _no_task()
        wanted = ecs.GetTaskProtectionRequest(cluster=self._cluster, tasks=(arn,))
        return await self._ask("GetTaskProtection", wanted, arn)

    async def _put(self, request: web.Request) -> web.Response:
        arn = self._task_arn(request)
        if arn is None:
            return _no_task()
        try:
            body = msgspec.json.decode(await request.read(), type=_Wanted)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return _error(400, "InvalidParameterException", f"Invalid request: {error}", arn)
        wanted = ecs.UpdateTaskProtectionRequest(
            cluster=self._cluster,
            tasks=(arn,),
            protection_enabled=body.protection_enabled,
            expires_in_minutes=body.expires_in_minutes,
        )
        return await self._ask("UpdateTaskProtection", wanted, arn)

    async def _ask(self, operation: str, wanted: Struct, arn: str) -> web.Response:
        role = self._credentials.of_task(arn, TASK_ROLE)
        if role is None:
            return _error(403, "AccessDeniedException", "Invalid Request: no task IAM role credentials available", arn)
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                response = await self._backend.call(operation, wanted, credentials=role)
        except TimeoutError:
            return _error(504, "RequestCanceled", "Timed out calling ECS Task Protection API", arn)
        except Refused as error:
            return _error(403 if error.code.startswith("AccessDenied") else 400, error.code, error.message, arn)
        except Transient as error:
            return _error(500, "ServerException", str(error), arn)
        return _verdict(response, arn)

    async def _fault(self, request: web.Request) -> web.Response:
        arn = self._task_arn(request)
        if arn is None:
            return answer({"Error": "unable to find a task for the endpoint id"}, 404)
        return answer({"Error": f"enableFaultInjection is not enabled for task: {arn}"}, 400)


def _verdict(response: Any, arn: str) -> web.Response:
    if response.failures:
        failure = response.failures[0]
        members = {"Arn": failure.arn, "Reason": failure.reason, "Detail": failure.detail}
        return answer({"failure": {name: value for name, value in members.items() if value is not None}})
    if not response.protected_tasks:
        return _error(500, "ServerException", "Unexpected error: no protection for the task in the answer", arn)
    task = response.protected_tasks[0]
    expires = task.expiration_date
    return answer(
        {
            "protection": {
                "ExpirationDate": None if expires is None else iso8601(expires),
                "ProtectionEnabled": bool(task.protection_enabled),
                "TaskArn": task.task_arn,
            }
        }
    )


def _no_task() -> web.Response:
    return _error(404, "ResourceNotFoundException", "Failed to find a task for the request", None)


def _error(status: int, code: str, message: str, arn: str | None) -> web.Response:
    error = {"Code": code, "Message": message} if arn is None else {"Arn": arn, "Code": code, "Message": message}
    return answer({"error": error}, status)
