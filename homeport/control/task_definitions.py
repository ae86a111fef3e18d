"""Finding a task's definition."""

from msgspec.structs import replace

from homeport.model.task import Task
from homeport.shapes import ecs as shapes
from homeport.store.schema import Tables


def definition_of(tables: Tables, task: Task) -> shapes.TaskDefinition | None:
    """The task's definition with the family and revision that its row has; None if it was deleted."""
    row = tables.task_definitions.get(task.task_definition_arn)
    return None if row is None else replace(row.definition, family=row.family, revision=row.revision)
