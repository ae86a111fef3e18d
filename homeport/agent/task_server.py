"""The task endpoint as an application: credentials, metadata, protection, for the tasks of this host.

One caller cannot crowd out the others: 40 requests a second and 60 at once for each address. Every request for
credentials leaves an audit line. Source: agent protocol, C1.
"""

from collections.abc import Awaitable, Callable

from aiohttp import web

from homeport.agent.credentials import EXECUTION_ROLE, Credentials, is_awaited
from homeport.agent.looking import Host
from homeport.agent.metadata import Metadata, answer
from homeport.agent.protection import Protection
from homeport.agent.throttle import Throttle
from homeport.base.clock import Clock
from homeport.base.log import get_logger

audit = get_logger("credentials audit")
_MOST_BODY_BYTES = 64 * 1024
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def task_app(
    host: Host, credentials: Credentials, metadata: Metadata, protection: Protection, clock: Clock
) -> web.Application:
    """All routes, behind the throttle."""
    throttle = Throttle()

    @web.middleware
    async def throttled(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not throttle.allows(request.remote or "", clock.monotonic()):
            return answer("You have reached the maximum request limit.", 429)
        return await handler(request)

    slashes = web.normalize_path_middleware(
        append_slash=False, merge_slashes=True, redirect_class=web.HTTPMovedPermanently
    )
    app = web.Application(middlewares=[throttled, slashes], client_max_size=_MOST_BODY_BYTES)
    _CredentialRoutes(host, credentials).add_routes(app)
    metadata.add_routes(app)
    protection.add_routes(app)
    return app


class _CredentialRoutes:
    def __init__(self, host: Host, credentials: Credentials) -> None:
        self._host = host
        self._credentials = credentials

    def add_routes(self, app: web.Application) -> None:
        for path in ("/v2/credentials", "/v2/credentials/", "/v2/credentials/{id}"):
            app.router.add_get(path, self._version_2)
        app.router.add_get("/v1/credentials", self._version_1)

    async def _version_1(self, request: web.Request) -> web.Response:
        return self._audited(request, request.query.get("id", ""), "CredentialsV1Request")

    async def _version_2(self, request: web.Request) -> web.Response:
        return self._audited(request, request.match_info.get("id", ""), "CredentialsV2Request")

    def _audited(self, request: web.Request, credentials_id: str, name: str) -> web.Response:
        response = self._serve(credentials_id, name)
        task_arn, role_type = self._credentials.owner(credentials_id) or ("-", "")
        audit.info(
            "credentials_requested",
            status=response.status,
            remote=request.remote,
            user_agent=request.headers.get("user-agent", ""),
            task=task_arn,
            action="GetCredentialsExecutionRole" if role_type == EXECUTION_ROLE else "GetCredentials",
        )
        return response

    def _serve(self, credentials_id: str, name: str) -> web.Response:
        if not credentials_id:
            return _refusal(400, "NoIdInRequest", f"{name}: No ID in the request")
        found = self._credentials.get(credentials_id)
        if found is not None:
            return answer(
                {
                    "RoleArn": found.role_arn,
                    "AccessKeyId": found.access_key_id,
                    "SecretAccessKey": found.secret_access_key,
                    "Token": found.session_token,
                    "Expiration": found.expiration,
                }
            )
        if is_awaited(self._host.tasks, credentials_id):
            return _refusal(503, "CredentialsUninitialized", f"{name}: Credentials uninitialized for ID")
        return _refusal(400, "InvalidIdInRequest", f"{name}: ID not found")


def _refusal(status: int, code: str, message: str) -> web.Response:
    return answer({"code": code, "message": message, "HTTPErrorCode": status}, status)
