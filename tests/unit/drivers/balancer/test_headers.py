"""What a listener's route table sets and takes away."""

import pytest
from msgspec.structs import replace

from homeport.drivers.balancer import FixedResponse, Listener
from homeport.drivers.balancer.headers import header_changes
from tests.unit.drivers.balancer.test_resources import rendered

LISTENER = Listener(id="l", address="10.0.0.9", port=443, protocol="HTTPS", default=FixedResponse(status=200))
NAMED = replace(LISTENER, tls_version_header="v", tls_cipher_header="c")


def values(headers):
    assert all(item["append_action"] == "OVERWRITE_IF_EXISTS_OR_ADD" for item in headers)
    return {item["header"]["key"]: item["header"]["value"] for item in headers}


def test_headers_when_nothing_is_asked_for_then_nothing_is_added():
    assert header_changes(LISTENER) == {"request_headers_to_remove": ["x-envoy-external-address"]}


def test_response_headers_when_they_hold_percent_signs_then_those_begin_no_command():
    listener = replace(
        LISTENER, response_headers=(("x-frame-options", "DENY"), ("content-security-policy", "a %2F %UUID%"))
    )
    assert values(header_changes(listener)["response_headers_to_add"]) == {
        "x-frame-options": "DENY",
        "content-security-policy": "a %%2F %%UUID%%",
    }


def test_tls_headers_when_named_then_set_where_there_is_tls_and_taken_away_where_there_is_none():
    added = values(header_changes(NAMED)["request_headers_to_add"])
    assert added == {"v": "%DOWNSTREAM_TLS_VERSION%", "c": "%DOWNSTREAM_TLS_CIPHER%"}
    plain = header_changes(replace(NAMED, protocol="HTTP", xff_mode="remove"))
    assert plain == {"request_headers_to_remove": ["x-envoy-external-address", "x-forwarded-for", "v", "c"]}


@pytest.mark.parametrize(("mode", "is_here"), [("append", True), ("preserve", False), ("remove", False)])
def test_client_port_when_asked_for_then_appended_here_and_only_in_mode_append(mode, is_here):
    listener = replace(LISTENER, protocol="HTTP", xff_mode=mode, xff_client_port=True)
    added = header_changes(listener).get("request_headers_to_add", [])
    assert [item["append_action"] for item in added] == ["APPEND_IF_EXISTS_OR_ADD"] * is_here
    found = rendered(listener).listeners["l"]
    assert found["filter_chains"][0]["filters"][-1]["typed_config"]["skip_xff_append"]


def test_headers_when_they_change_then_only_the_routes_do():
    plain = replace(LISTENER, protocol="HTTP", port=80)
    other = replace(
        plain, response_headers=(("x-frame-options", "DENY"),), tls_version_header="v", tls_cipher_header="c"
    )
    before, after = rendered(plain), rendered(other)
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, True, True, False]


def test_server_header_when_disabled_then_the_manager_passes_on_what_targets_say():
    def transformation(listener):
        found = rendered(listener).listeners["l"]
        return found["filter_chains"][0]["filters"][-1]["typed_config"]["server_header_transformation"]

    plain = replace(LISTENER, protocol="HTTP", port=80)
    assert transformation(plain) == "APPEND_IF_ABSENT"
    assert transformation(replace(plain, server_header=False)) == "PASS_THROUGH"
