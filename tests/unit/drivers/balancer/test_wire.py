"""The discovery protocol's messages, written by hand, against the generated classes."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from envoy_data_plane.envoy.config.core.v3 import Node
    from envoy_data_plane.envoy.service.discovery.v3 import DiscoveryRequest, DiscoveryResponse
    from envoy_data_plane.google.rpc import Status

from homeport.drivers.balancer.wire import encode_resource, encode_response, parse_request, type_urls


def test_request_when_it_subscribes_then_type_and_names_are_found():
    message = DiscoveryRequest(
        version_info="3", node=Node(id="x" * 300), resource_names=["a", "b"], type_url="t", response_nonce="7"
    )
    assert parse_request(bytes(message)) == ("t", ("a", "b"), "7", "")


def test_request_when_it_refuses_then_its_text_is_found():
    message = DiscoveryRequest(type_url="t", response_nonce="7", error_detail=Status(code=3, message="no: ü"))
    assert parse_request(bytes(message)).error == "no: ü"


def test_request_when_it_refuses_without_a_text_then_still_a_refusal():
    assert parse_request(bytes(DiscoveryRequest(type_url="t", error_detail=Status(code=3)))).error == "refused"


def test_response_when_encoded_then_the_generated_class_reads_the_same():
    message = DiscoveryResponse.parse(encode_response("t", "4", "5", [b"x" * 300, b""]))
    assert (message.type_url, message.version_info, message.nonce) == ("t", "4", "5")
    assert [(item.type_url, item.value) for item in message.resources] == [("t", b"x" * 300), ("t", b"")]


def test_resource_when_it_has_an_unknown_member_then_refused_at_once():
    try:
        encode_resource(type_urls()[0], {"name": "a", "no_such_member": 1})
    except Exception as error:
        assert "no_such_member" in str(error)
    else:
        raise AssertionError("accepted")
