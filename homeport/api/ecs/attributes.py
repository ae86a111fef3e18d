"""Attributes of container instances: put, delete, list.

What the agent registered (names that begin with `ecs.` or `com.amazonaws.ecs.`) can be listed but not changed.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from homeport.api.ecs.find import find_cluster, lookup_container_instance
from homeport.api.operation import Context, operation
from homeport.api.paginate import paginate
from homeport.base.arn import parse_arn
from homeport.model.cluster import Cluster
from homeport.model.container_instance import ContainerInstance
from homeport.model.rules.attributes import MOST_PER_CALL, check_attribute, with_attributes, without_attributes
from homeport.shapes import ecs as shapes
from homeport.store.schema import Tables
from homeport.store.store import Tx


@operation(shapes.SERVICE, "PutAttributes")
def put_attributes(ctx: Context, tx: Tx, request: shapes.PutAttributesRequest) -> shapes.PutAttributesResponse:
    """All of them, or none: one bad attribute or target refuses the whole call."""
    cluster = find_cluster(ctx, tx, request.cluster)
    answered: list[shapes.Attribute] = []
    for arn, given in _by_target(ctx, tx, cluster, request.attributes).items():
        instance = tx.container_instances[arn]
        for attribute in given:
            check_attribute(attribute)
        merged = with_attributes(instance.attributes, given)
        if merged != instance.attributes:
            tx.container_instances.put(replace(instance, attributes=merged, version=instance.version + 1))
        answered += [_view(attribute, arn) for attribute in given]
    return shapes.PutAttributesResponse(attributes=tuple(answered))


@operation(shapes.SERVICE, "DeleteAttributes")
def delete_attributes(ctx: Context, tx: Tx, request: shapes.DeleteAttributesRequest) -> shapes.DeleteAttributesResponse:
    """Answers with what was removed; names that the instance does not have are ignored."""
    cluster = find_cluster(ctx, tx, request.cluster)
    answered: list[shapes.Attribute] = []
    for arn, given in _by_target(ctx, tx, cluster, request.attributes).items():
        instance = tx.container_instances[arn]
        for attribute in given:
            check_attribute(attribute)
        kept, gone = without_attributes(instance.attributes, given)
        if gone:
            tx.container_instances.put(replace(instance, attributes=kept, version=instance.version + 1))
        answered += [_view(attribute, arn) for attribute in gone]
    return shapes.DeleteAttributesResponse(attributes=tuple(answered))


@operation(shapes.SERVICE, "ListAttributes")
def list_attributes(ctx: Context, tx: Tables, request: shapes.ListAttributesRequest) -> shapes.ListAttributesResponse:
    """Attributes of the cluster's registered instances, by instance and name."""
    if request.attribute_value is not None and request.attribute_name is None:
        raise shapes.InvalidParameterException("You must specify an attribute name to filter by value.")
    cluster = find_cluster(ctx, tx, request.cluster)
    found = sorted(
        _attributes(
            tx.container_instances.by(cluster_arn=cluster.arn), request.attribute_name, request.attribute_value
        ),
        key=_page_key,
    )
    page, token = paginate(found, key=_page_key, token=request.next_token, limit=request.max_results)
    return shapes.ListAttributesResponse(attributes=page, next_token=token)


def _attributes(
    instances: Iterable[ContainerInstance], name: str | None, value: str | None
) -> Iterable[shapes.Attribute]:
    for instance in instances:
        if instance.status == "INACTIVE":
            continue
        for attribute in instance.attributes:
            if name in (None, attribute.name) and value in (None, attribute.value):
                yield _view(attribute, instance.arn)


def _page_key(attribute: shapes.Attribute) -> str:
    return f"{attribute.target_id}|{attribute.name}"


def _view(attribute: shapes.Attribute, arn: str) -> shapes.Attribute:
    """As ECS answers: the target by its ARN, without a type."""
    return shapes.Attribute(name=attribute.name, value=attribute.value, target_id=arn)


def _by_target(
    ctx: Context, tx: Tables, cluster: Cluster, attributes: tuple[shapes.Attribute, ...]
) -> dict[str, list[shapes.Attribute]]:
    """The attributes by the ARN of their container instance, in the order given."""
    if not attributes:
        raise shapes.InvalidParameterException("attributes can not be empty.")
    if len(attributes) > MOST_PER_CALL:
        raise shapes.InvalidParameterException(f"attributes can have at most {MOST_PER_CALL} items.")
    targets: dict[str, list[shapes.Attribute]] = {}
    for attribute in attributes:
        target = attribute.target_id or ""
        if not target:
            raise shapes.InvalidParameterException("targetId can not be blank.")
        if attribute.target_type is None and parse_arn(target) is None:
            raise shapes.InvalidParameterException("targetType must be specified when targetId is a short form ID.")
        instance = lookup_container_instance(ctx, tx, cluster, target)
        if instance is None or instance.status == "INACTIVE":
            raise shapes.TargetNotFoundException(
                "The specified target wasn't found. Container instances are cluster-specific."
            )
        targets.setdefault(instance.arn, []).append(attribute)
    return targets
