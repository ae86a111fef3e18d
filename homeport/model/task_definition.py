"""A task definition: one immutable revision of a family."""

from msgspec import Struct

from homeport.shapes import ecs as shapes


class TaskDefinition(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`definition` is what RegisterTaskDefinition was given plus what ECS computes, exactly as it is returned.

    `status` (ACTIVE, INACTIVE, DELETE_IN_PROGRESS) stands here and is put into the view.
    """

    arn: str
    family: str
    revision: int
    definition: shapes.TaskDefinition
    status: str = "ACTIVE"
    tags: tuple[shapes.Tag, ...] = ()


class Family(Struct, frozen=True, kw_only=True):
    """The revision counter of a family: deleted revisions are never given out again."""

    name: str
    latest_revision: int
