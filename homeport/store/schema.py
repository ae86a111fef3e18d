"""Every table and index of a region on one screen. To add a table: its struct in `model`, one attribute here."""

from typing import Any

from homeport.model.account import AccessKey, AccountSetting, ClientToken, Region
from homeport.model.cluster import Cluster
from homeport.model.container_instance import ContainerInstance
from homeport.model.deployment import Deployment, ServiceDeployment, ServiceRevision
from homeport.model.load_balancer import Certificate, Listener, LoadBalancer, Rule, Target, TargetGroup
from homeport.model.service import Service, ServiceEvent, TaskSet
from homeport.model.task import Task
from homeport.model.task_definition import Family, TaskDefinition
from homeport.model.vpc import ResourceTags
from homeport.store.table import Table


class Tables:
    """The tables of a region; attributes are found by tests and the journal through `all_tables`."""

    def __init__(self) -> None:
        self.regions = Table("region", Region, lambda row: row.region)
        self.access_keys = Table("access_key", AccessKey, lambda row: row.access_key_id)
        self.account_settings = Table(
            "account_setting", AccountSetting, lambda row: row.key, {"principal_arn": lambda row: row.principal_arn}
        )
        self.client_tokens = Table("client_token", ClientToken, lambda row: row.key)
        self.clusters = Table("cluster", Cluster, lambda row: row.arn)
        self.families = Table("family", Family, lambda row: row.name)
        self.task_definitions = Table(
            "task_definition",
            TaskDefinition,
            lambda row: row.arn,
            {"family": lambda row: row.family, "status": lambda row: row.status},
        )
        self.container_instances = Table(
            "container_instance",
            ContainerInstance,
            lambda row: row.arn,
            {"cluster_arn": lambda row: row.cluster_arn, "ec2_instance_id": lambda row: row.ec2_instance_id},
        )
        self.tasks = Table(
            "task",
            Task,
            lambda row: row.arn,
            {
                "cluster_arn": lambda row: row.cluster_arn,
                "cluster_desired": lambda row: (row.cluster_arn, row.desired_status.value),
                "cluster_state": lambda row: (row.cluster_arn, row.last_status, row.launch_type),
                "container_instance_arn": lambda row: row.container_instance_arn,
                "live_on": lambda row: None if row.is_stopped else row.container_instance_arn,
                "task_definition_arn": lambda row: row.task_definition_arn,
                "service_arn": lambda row: row.service_arn,
                "unsettled_of": lambda row: None if row.is_settled else row.service_arn,
                "stopped": lambda row: row.is_stopped or None,
            },
        )
        self.services = Table(
            "service",
            Service,
            lambda row: row.arn,
            {
                "cluster_arn": lambda row: row.cluster_arn,
                "daemon_in": lambda row: row.cluster_arn if row.scheduling_strategy == "DAEMON" else None,
                "rebalanced_in": lambda row: (
                    row.cluster_arn
                    if row.availability_zone_rebalancing == "ENABLED" and row.status == "ACTIVE"
                    else None
                ),
            },
        )
        self.service_events = Table(
            "service_event", ServiceEvent, lambda row: row.key, {"service_arn": lambda row: row.service_arn}
        )
        self.service_revisions = Table(
            "service_revision", ServiceRevision, lambda row: row.arn, {"service_arn": lambda row: row.service_arn}
        )
        self.deployments = Table(
            "deployment", Deployment, lambda row: row.id, {"service_arn": lambda row: row.service_arn}
        )
        self.service_deployments = Table(
            "service_deployment",
            ServiceDeployment,
            lambda row: row.arn,
            {
                "service_arn": lambda row: row.service_arn,
                "open_of": lambda row: None if row.is_over else row.service_arn,
                "shifting": lambda row: (row.shifts_traffic and not row.is_over) or None,
            },
        )
        self.task_sets = Table("task_set", TaskSet, lambda row: row.arn, {"service_arn": lambda row: row.service_arn})
        self.load_balancers = Table("load_balancer", LoadBalancer, lambda row: row.arn)
        self.target_groups = Table("target_group", TargetGroup, lambda row: row.arn)
        self.targets = Table(
            "target",
            Target,
            lambda row: row.key,
            {"target_group_arn": lambda row: row.target_group_arn, "owner": lambda row: row.owner},
        )
        self.listeners = Table(
            "listener", Listener, lambda row: row.arn, {"load_balancer_arn": lambda row: row.load_balancer_arn}
        )
        self.rules = Table("rule", Rule, lambda row: row.arn, {"listener_arn": lambda row: row.listener_arn})
        self.certificates = Table("certificate", Certificate, lambda row: row.arn)
        self.resource_tags = Table("resource_tags", ResourceTags, lambda row: row.resource_id)
        self.all_tables: tuple[Table[Any], ...] = tuple(
            table for table in vars(self).values() if isinstance(table, Table)
        )

    def by_kind(self) -> dict[str, Table[Any]]:
        """Tables by the kind under which the journal keeps their rows."""
        return {table.kind: table for table in self.all_tables}
