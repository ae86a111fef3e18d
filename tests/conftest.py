"""Fixtures that are worlds."""

import os

import pytest
import structlog

# botocore must find neither a developer's configuration nor a metadata service.
os.environ.update(
    AWS_CONFIG_FILE="/dev/null", AWS_SHARED_CREDENTIALS_FILE="/dev/null", AWS_EC2_METADATA_DISABLED="true"
)

# Tests look at answers, not at the log; warnings and worse stay visible.
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))

from tests.builders import a_region  # noqa: E402


@pytest.fixture
def region():
    """A region of its own for one test."""
    made = a_region()
    yield made
    made.close()
