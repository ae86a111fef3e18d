"""What is generated is up to date."""

from homeport.api.coverage import main, served_operations
from homeport.api.refused import REFUSED
from homeport.shapes import generate


def test_coverage_page_when_checked_then_fresh():
    assert main(["--check"]) == 0, "run `make generate`"


def test_refused_settings_when_listed_then_of_served_operations():
    assert set(REFUSED) <= served_operations()


def test_shapes_when_checked_then_fresh():
    assert generate.main(["--check"]) == 0, "run `make generate`"
