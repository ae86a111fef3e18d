"""Deployment configurations and task sets: properties that a table of refusals does not show."""

from fractions import Fraction
from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from homeport.model.rules.deployment_configuration import check_configuration, merged_configuration, new_configuration
from homeport.model.rules.task_sets import computed_count
from homeport.shapes import ecs as shapes

HOOK = shapes.DeploymentLifecycleHook(target_type="PAUSE", lifecycle_stages=("POST_SCALE_UP",))
BREAKERS = st.builds(shapes.DeploymentCircuitBreaker, enable=st.booleans(), rollback=st.booleans())
PERCENTS = {
    "maximum_percent": st.none() | st.integers(101, 200),
    "minimum_healthy_percent": st.none() | st.integers(0, 100),
    "deployment_circuit_breaker": st.none() | BREAKERS,
}
LINEAR = st.builds(shapes.LinearConfiguration, step_percent=st.none() | st.sampled_from([3.0, 10.1, 100.0]))
CANARY = st.builds(shapes.CanaryConfiguration, canary_percent=st.none() | st.sampled_from([0.1, 5.0, 100.0]))
BAKED = {"bake_time_in_minutes": st.integers(0, 1440), "lifecycle_hooks": st.none() | st.just((HOOK,))}
GIVEN = st.one_of(
    st.builds(shapes.DeploymentConfiguration, strategy=st.none(), **PERCENTS),
    st.builds(shapes.DeploymentConfiguration, strategy=st.just("ROLLING"), **PERCENTS),
    st.builds(shapes.DeploymentConfiguration, strategy=st.just("BLUE_GREEN"), **PERCENTS, **BAKED),
    st.builds(
        shapes.DeploymentConfiguration,
        strategy=st.just("LINEAR"),
        linear_configuration=st.none() | LINEAR,
        **PERCENTS,
        **BAKED,
    ),
    st.builds(
        shapes.DeploymentConfiguration,
        strategy=st.just("CANARY"),
        canary_configuration=st.none() | CANARY,
        **PERCENTS,
        **BAKED,
    ),
)


@given(updates=st.lists(GIVEN, max_size=4))
def test_configuration_when_updated_again_and_again_then_always_complete_and_legal(updates):
    configuration = new_configuration(None, "REPLICA")
    for update in updates:
        configuration = merged_configuration(configuration, update)
        check_configuration(configuration, "REPLICA", has_lambda=False)
        for name in update.__struct_fields__:
            value = getattr(update, name)
            if value is not None and name not in ("linear_configuration", "canary_configuration"):
                assert getattr(configuration, name) == value
        assert merged_configuration(configuration, update) == configuration
        assert (configuration.linear_configuration is not None) == (configuration.strategy == "LINEAR")
        assert (configuration.canary_configuration is not None) == (configuration.strategy == "CANARY")


def test_configuration_when_nothing_is_given_then_the_very_same():
    configuration = new_configuration(None, "DAEMON")
    assert merged_configuration(configuration, None) is configuration
    assert (configuration.minimum_healthy_percent, configuration.maximum_percent) == (0, 100)


@given(desired=st.integers(0, 5000), tenths=st.integers(0, 1000))
def test_computed_count_when_scaled_by_tenths_of_a_percent_then_exact_and_rounded_up(desired, tenths):
    assert computed_count(desired, tenths / 10) == ceil(Fraction(desired * tenths, 1000))
