"""Every ECS ARN: made and taken apart in one place.

Forms (long, the only ones since 2021): `cluster/NAME`, `service/CLUSTER/NAME`, `task/CLUSTER/ID`,
`container-instance/CLUSTER/ID`, `container/CLUSTER/TASK/UUID`, `task-definition/FAMILY:REVISION`,
`capacity-provider/NAME`, `task-set/CLUSTER/SERVICE/ID`, `service-deployment/CLUSTER/SERVICE/ID`,
`service-revision/CLUSTER/SERVICE/ID`.
"""

from typing import NamedTuple


class Arn(NamedTuple):
    """`arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`, of which `resource` may itself hold `/` and `:`."""

    partition: str
    service: str
    region: str
    account: str
    resource: str

    @property
    def kind(self) -> str:
        """The resource type: `cluster`, `task`, … (`log-group` for `log-group:NAME`)."""
        return (
            self.resource.replace(":", "/", 1).split("/", 1)[0]
            if "/" not in self.resource
            else self.resource.split("/", 1)[0]
        )

    @property
    def parts(self) -> list[str]:
        """What follows the resource type, cut at `/`."""
        return self.resource.split("/")[1:]

    def __str__(self) -> str:
        return f"arn:{self.partition}:{self.service}:{self.region}:{self.account}:{self.resource}"


def parse_arn(text: str) -> Arn | None:
    """The ARN in `text`, or None where it is none (a plain name)."""
    pieces = text.split(":", 5)
    if len(pieces) != 6 or pieces[0] != "arn" or not all(pieces[i] for i in (1, 2, 5)):
        return None
    return Arn(*pieces[1:])


def last_part(arn: str) -> str:
    """The id at the end: task id, cluster name, `FAMILY:REVISION`."""
    return arn.rsplit("/", 1)[-1]


class Arns:
    """Makes the ARNs of one account and region (partition `aws`)."""

    def __init__(self, region: str, account_id: str) -> None:
        self.region = region
        self.account_id = account_id
        self._ecs = f"arn:aws:ecs:{region}:{account_id}:"

    def cluster(self, name: str) -> str:
        return f"{self._ecs}cluster/{name}"

    def task(self, cluster_name: str, task_id: str) -> str:
        return f"{self._ecs}task/{cluster_name}/{task_id}"

    def container(self, cluster_name: str, task_id: str, container_id: str) -> str:
        return f"{self._ecs}container/{cluster_name}/{task_id}/{container_id}"

    def container_instance(self, cluster_name: str, instance_id: str) -> str:
        return f"{self._ecs}container-instance/{cluster_name}/{instance_id}"

    def task_definition(self, family: str, revision: int) -> str:
        return f"{self._ecs}task-definition/{family}:{revision}"

    def service(self, cluster_name: str, service_name: str) -> str:
        return f"{self._ecs}service/{cluster_name}/{service_name}"

    def service_child(self, kind: str, cluster_name: str, service_name: str, child_id: str) -> str:
        """`kind` is `task-set`, `service-deployment` or `service-revision`."""
        return f"{self._ecs}{kind}/{cluster_name}/{service_name}/{child_id}"

    def capacity_provider(self, name: str) -> str:
        return f"{self._ecs}capacity-provider/{name}"

    def log_group(self, name: str) -> str:
        return f"arn:aws:logs:{self.region}:{self.account_id}:log-group:{name}"

    def root(self) -> str:
        return f"arn:aws:iam::{self.account_id}:root"

    def owns(self, arn: Arn) -> bool:
        """Whether the ARN names something of this account and region."""
        return arn.region == self.region and arn.account == self.account_id
