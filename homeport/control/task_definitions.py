"""Finding a task's definition."""

from homeport.model.overrides import effective_definition
from homeport.model.task import Task
from homeport.shapes import ecs as shapes
from homeport.store.schema import Tables


def definition_of(tables: Tables, task: Task) -> shapes.TaskDefinition | None:
    """The task's definition with the task's overrides merged in; None if it was deleted."""
    row = tables.task_definitions.get(task.task_definition_arn)
    return None if row is None else effective_definition(row.definition, task.overrides)
