"""Describe-many."""

from homeport.api.failures import describe_many
from homeport.shapes import ecs as shapes


def test_names_when_some_are_missing_then_found_in_order_and_failures():
    rows = {"a": 1, "b": 2}
    found, failures = describe_many(["b", "x", "a", "b", "x"], rows.get, lambda name: f"arn:{name}")
    assert found == [2, 1]
    assert failures == (shapes.Failure(arn="arn:x", reason="MISSING"),)
