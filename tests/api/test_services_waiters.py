"""botocore's waiters and paginators of services find here what they look for."""

import pytest
from botocore.exceptions import WaiterError
from msgspec.structs import replace

from tests.fleet import a_task_definition, ecs_of

AT_ONCE = {"Delay": 0, "MaxAttempts": 2}


@pytest.fixture
def ecs(region):
    a_task_definition(region, "web")
    return ecs_of(region)


def put_status(region, status, name="s0"):
    arn = region.world.arns.service("default", name)
    region.world.store.update(lambda tx: tx.services.put(replace(tx.services[arn], status=status)))


def test_services_stable_when_one_deployment_and_all_tasks_run_then_the_waiter_returns(ecs):
    ecs.create_service(serviceName="s0", taskDefinition="web", desiredCount=0)
    waiter = ecs.get_waiter("services_stable")
    waiter.wait(services=["s0"], WaiterConfig=AT_ONCE)
    ecs.update_service(service="s0", desiredCount=1)
    with pytest.raises(WaiterError, match="Max attempts exceeded"):
        waiter.wait(services=["s0"], WaiterConfig=AT_ONCE)
    ecs.update_service(service="s0", desiredCount=0, forceNewDeployment=True)
    with pytest.raises(WaiterError, match="Max attempts exceeded"):
        waiter.wait(services=["s0"], WaiterConfig=AT_ONCE)


def test_services_stable_when_it_is_deleted_or_never_was_then_the_waiter_fails(region, ecs):
    ecs.create_service(serviceName="s0", taskDefinition="web", desiredCount=0)
    waiter = ecs.get_waiter("services_stable")
    for status in ("DRAINING", "INACTIVE"):
        put_status(region, status)
        with pytest.raises(WaiterError, match=status):
            waiter.wait(services=["s0"], WaiterConfig=AT_ONCE)
    with pytest.raises(WaiterError, match="MISSING"):
        waiter.wait(services=["nobody"], WaiterConfig=AT_ONCE)


def test_services_inactive_when_it_is_then_the_waiter_returns(region, ecs):
    ecs.create_service(serviceName="s0", taskDefinition="web", desiredCount=0)
    waiter = ecs.get_waiter("services_inactive")
    with pytest.raises(WaiterError, match="Max attempts exceeded"):
        waiter.wait(services=["s0"], WaiterConfig=AT_ONCE)
    put_status(region, "INACTIVE")
    waiter.wait(services=["s0"], WaiterConfig=AT_ONCE)


@pytest.mark.parametrize("size", [1, 2, 100])
def test_pages_of_services_when_of_any_size_then_everything_once(ecs, size):
    for number in range(5):
        ecs.create_service(serviceName=f"s{number}", taskDefinition="web", desiredCount=0)
    pages = ecs.get_paginator("list_services").paginate(PaginationConfig={"PageSize": size})
    assert [arn[-2:] for page in pages for arn in page["serviceArns"]] == [f"s{number}" for number in range(5)]
