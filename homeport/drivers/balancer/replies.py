"""What an application load balancer answers itself where a target gives no answer: ELB's status and its page (pure).

Envoy says 503 of every target that it did not get an answer from. ELB says 502 of one that refused the connection, closed
it or made no sense, 504 of one that took too long, and 503 where there is no target at all. Answers that an action of the
listener gives (fixed responses, redirects) have none of the flags here, so they stay as they are.
Source: ALB User Guide, "Troubleshoot your Application Load Balancers".
"""

from typing import Any, NamedTuple

from homeport.drivers.balancer.logs import only_if

Json = dict[str, Any]
_PAGE = "<html>\r\n<head><title>{0}</title></head>\r\n<body>\r\n<center><h1>{0}</h1></center>\r\n</body>\r\n</html>\r\n"


class _Reply(NamedTuple):
    """One status, and the flags of Envoy that it answers; `was` if these flags alone do not say which status it is."""

    status: int
    phrase: str
    flags: tuple[str, ...]
    was: int | None = None


_REPLIES = (
    _Reply(502, "Bad Gateway", ("UF", "UC", "UR", "LR", "UPE")),
    _Reply(503, "Service Temporarily Unavailable", ("UH", "NC", "UO")),
    _Reply(504, "Gateway Time-out", ("UT", "SI"), was=504),
    _Reply(408, "Request Time-out", ("SI",), was=408),
    _Reply(400, "Bad Request", ("DPE",), was=400),
)
#: A connection that was tried in vain has the flag of one that was refused; only the details tell them apart.
_TOOK_TOO_LONG = _Reply(504, "Gateway Time-out", ())


def local_replies() -> Json:
    """Envoy's LocalReplyConfig; the first mapper that matches counts."""
    late = only_if("response.code_details.contains('connection_timeout')")
    conditions = [(_TOOK_TOO_LONG, late), *((reply, _condition(reply)) for reply in _REPLIES)]
    return {"mappers": [mapper for reply, condition in conditions for mapper in _mappers(reply, condition)]}


def _condition(reply: _Reply) -> Json:
    flags: Json = {"response_flag_filter": {"flags": list(reply.flags)}}
    if reply.was is None:
        return flags
    status = {"comparison": {"op": "EQ", "value": {"default_value": reply.was, "runtime_key": "none"}}}
    return _all(flags, {"status_code_filter": status})


def _mappers(reply: _Reply, condition: Json) -> list[Json]:
    """gRPC clients get the status as theirs, and show the text to people: a page would be in their way."""
    line = f"{reply.status} {reply.phrase}"
    grpc = {"header_filter": {"header": {"name": "content-type", "string_match": {"prefix": "application/grpc"}}}}
    page = {"text_format_source": {"inline_string": _PAGE.format(line)}, "content_type": "text/html"}
    return [
        {"filter": _all(condition, grpc), "status_code": reply.status, "body": {"inline_string": line}},
        {"filter": condition, "status_code": reply.status, "body_format_override": page},
    ]


def _all(*conditions: Json) -> Json:
    return {"and_filter": {"filters": list(conditions)}}
