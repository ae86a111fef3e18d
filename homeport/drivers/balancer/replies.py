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
    """A status with its phrase, and which of Envoy's own answers are given as this one."""

    status: int
    phrase: str
    condition: Json


def _flagged(*flags: str) -> Json:
    return {"response_flag_filter": {"flags": list(flags)}}


def _own(status: int) -> Json:
    """Envoy's own answers of this status, as against those of an action (and targets' answers are none of its own)."""
    return only_if(f"response.code == {status} && response.code_details != 'direct_response'")


_REPLIES = (
    # A connection that was tried in vain has the flag of one that was refused; only the details tell them apart.
    _Reply(504, "Gateway Time-out", only_if("response.code_details.contains('connection_timeout')")),
    _Reply(502, "Bad Gateway", _flagged("UF", "UC", "UR", "LR", "UPE")),
    _Reply(503, "Service Temporarily Unavailable", _flagged("UH", "NC", "UO")),
    _Reply(504, "Gateway Time-out", _own(504)),
    _Reply(408, "Request Time-out", _own(408)),
    _Reply(400, "Bad Request", _own(400)),
)


def local_replies() -> Json:
    """Envoy's LocalReplyConfig; the first mapper that matches counts."""
    return {"mappers": [mapper for reply in _REPLIES for mapper in _mappers(reply)]}


def _mappers(reply: _Reply) -> list[Json]:
    """gRPC clients get the status as theirs, and show the text to people: a page would be in their way."""
    line = f"{reply.status} {reply.phrase}"
    grpc = {"header_filter": {"header": {"name": "content-type", "string_match": {"prefix": "application/grpc"}}}}
    page = {"text_format_source": {"inline_string": _PAGE.format(line)}, "content_type": "text/html"}
    return [
        {"filter": _all(reply.condition, grpc), "status_code": reply.status, "body": {"inline_string": line}},
        {"filter": reply.condition, "status_code": reply.status, "body_format_override": page},
    ]


def _all(*conditions: Json) -> Json:
    return {"and_filter": {"filters": list(conditions)}}
