"""A cluster's settings and configuration.

Source: API reference of ClusterSetting, ExecuteCommandConfiguration and CreateCluster.
"""

from collections.abc import Iterable

from homeport.shapes import ecs as shapes

CONTAINER_INSIGHTS = ("enabled", "disabled", "enhanced")
Settings = tuple[shapes.ClusterSetting, ...]


def checked_settings(settings: Iterable[shapes.ClusterSetting] | None, default: str) -> Settings:
    """All settings of a cluster: those given, and `containerInsights` with `default` where it is not."""
    values = {"containerInsights": default}
    for setting in settings or ():
        if setting.name is None:
            raise shapes.InvalidParameterException("Setting name can not be null.")
        if setting.value not in CONTAINER_INSIGHTS:
            raise shapes.InvalidParameterException(
                f"Invalid value for setting {setting.name}: it should be one of {', '.join(CONTAINER_INSIGHTS)}."
            )
        values[setting.name] = setting.value
    return (shapes.ClusterSetting(name="containerInsights", value=values["containerInsights"]),)


def check_configuration(configuration: shapes.ClusterConfiguration | None) -> None:
    """ECS Exec's logging: a log configuration goes with OVERRIDE, and names at least one place to log to."""
    execute = configuration.execute_command_configuration if configuration else None
    if execute is None:
        return
    log = execute.log_configuration
    if execute.logging == "OVERRIDE" and log is None:
        raise shapes.InvalidParameterException(
            "The logConfiguration must be specified when logging is set to OVERRIDE."
        )
    if log is None:
        return
    if execute.logging != "OVERRIDE":
        raise shapes.InvalidParameterException(
            "The logConfiguration can only be specified when logging is set to OVERRIDE."
        )
    if not log.cloud_watch_log_group_name and not log.s3_bucket_name:
        raise shapes.InvalidParameterException(
            "The logConfiguration must specify at least one of cloudWatchLogGroupName and s3BucketName."
        )
    if log.cloud_watch_encryption_enabled and not log.cloud_watch_log_group_name:
        raise shapes.InvalidParameterException("A cloudWatchLogGroupName is required to enable CloudWatch encryption.")
    if log.s3_encryption_enabled and not log.s3_bucket_name:
        raise shapes.InvalidParameterException("An s3BucketName is required to enable S3 encryption.")


def check_not_built(
    capacity_providers: tuple[str, ...] | None,
    strategy: tuple[shapes.CapacityProviderStrategyItem, ...] | None,
    service_connect: shapes.ClusterServiceConnectDefaultsRequest | None,
) -> None:
    """Settings that this version could only ignore are refused; empty ones ask for nothing."""
    if capacity_providers or strategy:
        raise shapes.ClientException("Capacity providers are not supported by this version.")
    if service_connect is not None and service_connect.namespace:
        raise shapes.ClientException("Service Connect defaults are not supported by this version.")
