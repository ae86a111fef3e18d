"""Task definitions: register, deregister, describe, list, delete.

A revision never changes; only its status goes ACTIVE → INACTIVE → DELETE_IN_PROGRESS. Numbers are never given twice.
"""

from msgspec.structs import replace

from homeport.api.ecs.find import find_task_definition, latest_active, lookup_task_definition, task_definition_name
from homeport.api.operation import Context, operation
from homeport.api.paginate import paginate
from homeport.base.errors import ApiError
from homeport.model.rules.tags import check_tags
from homeport.model.rules.task_definition import register
from homeport.model.task_definition import Family, TaskDefinition
from homeport.shapes import ecs as shapes
from homeport.store.schema import Tables
from homeport.store.store import Tx

MOST_REVISIONS = 1_000_000
MOST_DELETED = 10


@operation(shapes.SERVICE, "RegisterTaskDefinition")
def register_task_definition(
    ctx: Context, tx: Tx, request: shapes.RegisterTaskDefinitionRequest
) -> shapes.RegisterTaskDefinitionResponse:
    """The next revision of the family."""
    family = tx.families.get(request.family)
    revision = (family.latest_revision if family else 0) + 1
    if revision > MOST_REVISIONS:
        raise shapes.LimitExceededException(f"A family can have at most {MOST_REVISIONS} revisions.")
    tags = check_tags(request.tags)
    arn = ctx.arns.task_definition(request.family, revision)
    definition = register(
        request, arn=arn, revision=revision, registered_at=tx.now, registered_by=ctx.identity.principal_arn
    )
    row = TaskDefinition(arn=arn, family=request.family, revision=revision, definition=definition, tags=tags)
    tx.families.put(Family(name=request.family, latest_revision=revision))
    tx.task_definitions.put(row)
    return shapes.RegisterTaskDefinitionResponse(task_definition=view(row), tags=tags or None)


@operation(shapes.SERVICE, "DeregisterTaskDefinition")
def deregister_task_definition(
    ctx: Context, tx: Tx, request: shapes.DeregisterTaskDefinitionRequest
) -> shapes.DeregisterTaskDefinitionResponse:
    """The revision becomes INACTIVE; what runs goes on. One that already is stays as it is."""
    _check_revision(ctx, request.task_definition)
    row = find_task_definition(ctx, tx, request.task_definition)
    if row.status == "ACTIVE":
        row = replace(row, status="INACTIVE", definition=replace(row.definition, deregistered_at=tx.now))
        tx.task_definitions.put(row)
    return shapes.DeregisterTaskDefinitionResponse(task_definition=view(row))


@operation(shapes.SERVICE, "DescribeTaskDefinition")
def describe_task_definition(
    ctx: Context, tx: Tables, request: shapes.DescribeTaskDefinitionRequest
) -> shapes.DescribeTaskDefinitionResponse:
    row = find_task_definition(ctx, tx, request.task_definition)
    wants_tags = "TAGS" in (request.include or ())
    return shapes.DescribeTaskDefinitionResponse(task_definition=view(row), tags=row.tags if wants_tags else None)


@operation(shapes.SERVICE, "ListTaskDefinitions")
def list_task_definitions(
    ctx: Context,  # noqa: ARG001 - the signature of every handler
    tx: Tables,
    request: shapes.ListTaskDefinitionsRequest,
) -> shapes.ListTaskDefinitionsResponse:
    """ARNs by family and revision number; `familyPrefix` is, despite its name, a whole family name."""
    status = request.status or "ACTIVE"
    if request.family_prefix:
        rows = [row for row in tx.task_definitions.by(family=request.family_prefix) if row.status == status]
    else:
        rows = tx.task_definitions.by(status=status)
    key = _descending_key if request.sort == "DESC" else _ascending_key
    page, token = paginate(sorted(rows, key=key), key=key, token=request.next_token, limit=request.max_results)
    return shapes.ListTaskDefinitionsResponse(task_definition_arns=tuple(row.arn for row in page), next_token=token)


def _ascending_key(row: TaskDefinition) -> str:
    """Families in order of their names, revisions in order of their numbers; no name contains the separator."""
    return f"{row.family}\0{row.revision:08d}"


def _descending_key(row: TaskDefinition) -> str:
    """The same in reverse, as a string that rises: pages are cut from rising keys. Names are ASCII."""
    return "".join(chr(255 - ord(character)) for character in _ascending_key(row))


@operation(shapes.SERVICE, "ListTaskDefinitionFamilies")
def list_task_definition_families(
    ctx: Context, tx: Tables, request: shapes.ListTaskDefinitionFamiliesRequest
) -> shapes.ListTaskDefinitionFamiliesResponse:
    """Names that begin with the prefix: those with an ACTIVE revision, those without one, or (default) both."""
    prefix = request.family_prefix or ""
    names = sorted(
        family.name
        for family in tx.families
        if family.name.startswith(prefix) and _is_listed(ctx, tx, family.name, request.status or "ALL")
    )
    page, token = paginate(names, key=str, token=request.next_token, limit=request.max_results)
    return shapes.ListTaskDefinitionFamiliesResponse(families=page, next_token=token)


def _is_listed(ctx: Context, tx: Tables, family: str, status: shapes.TaskDefinitionFamilyStatus) -> bool:
    """Whether a family that still has revisions is in that status."""
    if not tx.task_definitions.count(family=family):
        return False
    return status == "ALL" or (latest_active(ctx, tx, family) is not None) == (status == "ACTIVE")


@operation(shapes.SERVICE, "DeleteTaskDefinitions")
def delete_task_definitions(
    ctx: Context, tx: Tx, request: shapes.DeleteTaskDefinitionsRequest
) -> shapes.DeleteTaskDefinitionsResponse:
    """INACTIVE revisions become DELETE_IN_PROGRESS; every other one is a failure, and does not stop the rest."""
    if not request.task_definitions:
        raise shapes.InvalidParameterException("taskDefinitions can not be empty.")
    if len(request.task_definitions) > MOST_DELETED:
        raise shapes.InvalidParameterException(f"taskDefinitions can have at most {MOST_DELETED} items.")
    deleted: list[shapes.TaskDefinition] = []
    failures: list[shapes.Failure] = []
    for text in dict.fromkeys(request.task_definitions):
        outcome = _delete(ctx, tx, text)
        if isinstance(outcome, shapes.Failure):
            failures.append(outcome)
        else:
            deleted.append(view(outcome))
    return shapes.DeleteTaskDefinitionsResponse(task_definitions=tuple(deleted), failures=tuple(failures))


def _delete(ctx: Context, tx: Tx, text: str) -> TaskDefinition | shapes.Failure:
    try:
        _check_revision(ctx, text)
        row = lookup_task_definition(ctx, tx, text)
    except ApiError as error:
        return shapes.Failure(arn=text, reason=error.message)
    if row is None:
        return shapes.Failure(
            arn=text,
            reason="The specified task definition does not exist. Specify a valid account, family, revision and try again.",
        )
    if row.status == "ACTIVE":
        return shapes.Failure(
            arn=row.arn,
            reason="The specified task definition is still in ACTIVE status. Please deregister the target and try again.",
        )
    if row.status == "INACTIVE":
        definition = replace(row.definition, delete_requested_at=tx.now)
        row = replace(row, status="DELETE_IN_PROGRESS", definition=definition)
        tx.task_definitions.put(row)
    return row


def _check_revision(ctx: Context, text: str) -> None:
    if task_definition_name(ctx, text)[1] is None:
        raise shapes.ClientException("Task definition must be specified with a revision: family:revision or its ARN.")


def view(row: TaskDefinition) -> shapes.TaskDefinition:
    """The revision as callers see it, with its present status."""
    status: dict[str, shapes.TaskDefinitionStatus] = {
        "ACTIVE": "ACTIVE",
        "INACTIVE": "INACTIVE",
        "DELETE_IN_PROGRESS": "DELETE_IN_PROGRESS",
    }
    return replace(row.definition, status=status[row.status])
