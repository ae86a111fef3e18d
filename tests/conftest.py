"""Fixtures that are worlds."""

import os

import pytest
import structlog
from hypothesis import HealthCheck, settings

# botocore must find neither a developer's configuration nor a metadata service.
os.environ.update(
    AWS_CONFIG_FILE="/dev/null", AWS_SHARED_CREDENTIALS_FILE="/dev/null", AWS_EC2_METADATA_DISABLED="true"
)

# `make test` tries the same examples on every machine, so that a change is judged by the change alone; `make fuzz`
# looks for new ones. How fast a machine is tells nothing of a property, and all its examples may meet in one region.
_COMMON = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
settings.register_profile("fixed", _COMMON, derandomize=True)
settings.register_profile("fuzz", _COMMON, database=None)
settings.load_profile("fixed")

# Tests look at answers, not at the log; warnings and worse stay visible.
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))

from tests.builders import a_region  # noqa: E402


@pytest.fixture
def region():
    """A region of its own for one test."""
    made = a_region()
    yield made
    made.close()
