"""Settings that the served operations refuse, for the coverage page: (service, operation) -> what, and with which error.

One sentence each; kept beside the handlers so that whoever adds a refusal adds its line.
"""

from homeport.model.rules.elbv2_attributes import (
    APPLICATION,
    HTTP_TARGETS,
    HTTPS_LISTENER,
    NETWORK,
    STREAM_TARGETS,
    TCP_LISTENER,
    Table,
)
from homeport.model.rules.elbv2_attributes import REFUSED as ATTRIBUTE_REFUSED

_EXEC = "enableExecuteCommand: UnsupportedFeatureException"
_VOLUMES = "volumeConfigurations: UnsupportedFeatureException"
_DEFINITION = "definitions that use awsvpc, secrets, environment files, EFS and the like: UnsupportedFeatureException"
_SERVICE = (
    "launchType FARGATE, MANAGED_INSTANCES; capacityProviderStrategy: UnsupportedFeatureException",
    "serviceRegistries, serviceConnectConfiguration: UnsupportedFeatureException",
    "vpcLatticeConfigurations, gatewayConnectors, monitoring: UnsupportedFeatureException",
    "deploymentController CODE_DEPLOY; Classic Load Balancers: UnsupportedFeatureException",
    "deploymentConfiguration.alarms, earlySuccessCriteria turned on: UnsupportedFeatureException",
    "deploymentConfiguration.bakeTimeInMinutes with the strategy ROLLING: UnsupportedFeatureException",
    "Lambda lifecycle hooks where no Lambda endpoint is configured: UnsupportedFeatureException",
)
_SETTINGS = "awsvpcTrunking, fargateFIPSMode, fargateEventWindows, tagResourceAuthorization turned on: ClientException"

_ACTIONS = (
    "authenticate-oidc, authenticate-cognito, jwt-validation actions: InvalidLoadBalancerAction",
    "redirects with keywords inside of other text, except #{path} in a path: InvalidLoadBalancerAction",
)
_LISTENER = (
    "mutual TLS: InvalidConfigurationRequest",
    "target group stickiness on TCP, TLS, UDP and TCP_UDP: InvalidLoadBalancerAction",
)
_ADDRESSES = ("IPv6 address types, fixed addresses: InvalidConfigurationRequest",)
_CONDITIONS = "source-ip conditions of other address types than ipv4: InvalidConfigurationRequest"


def _refused_attributes(*tables: Table) -> tuple[str, ...]:
    """The attributes that may only have their default, from the table that the handlers go by."""
    names = {key for table in tables for key, attribute in table.items() if attribute.effect == ATTRIBUTE_REFUSED}
    return (f"other values than the default of {', '.join(sorted(names))}: InvalidConfigurationRequest",)


REFUSED: dict[tuple[str, str], tuple[str, ...]] = {
    ("ecs", "RunTask"): (
        "launchType FARGATE, MANAGED_INSTANCES: UnsupportedFeatureException",
        "capacityProviderStrategy: UnsupportedFeatureException",
        _EXEC,
        _VOLUMES,
        _DEFINITION,
    ),
    ("ecs", "StartTask"): (_EXEC, _VOLUMES, _DEFINITION),
    ("ecs", "CreateService"): (*_SERVICE, _EXEC, _VOLUMES, _DEFINITION),
    ("ecs", "UpdateService"): (
        *_SERVICE,
        _EXEC,
        _VOLUMES,
        _DEFINITION,
        "another deploymentController than the present one: UnsupportedFeatureException",
    ),
    ("ecs", "CreateTaskSet"): (
        "launchType FARGATE, MANAGED_INSTANCES; capacityProviderStrategy; serviceRegistries: UnsupportedFeatureException",
        _DEFINITION,
    ),
    ("ecs", "CreateCluster"): (
        "capacityProviders, defaultCapacityProviderStrategy: ClientException",
        "serviceConnectDefaults: ClientException",
    ),
    ("ecs", "UpdateCluster"): ("serviceConnectDefaults: ClientException",),
    ("ecs", "PutAccountSetting"): (_SETTINGS,),
    ("ecs", "PutAccountSettingDefault"): (_SETTINGS,),
    ("ecs", "DeleteTaskSet"): ("force changes nothing: a task set may be deleted at any scale",),
    ("ecs", "ListServicesByNamespace"): ("always NamespaceNotFoundException: there is no Cloud Map",),
    ("ecs", "ListTasks"): ("daemonName: InvalidParameterException",),
    ("ecs", "UpdateContainerAgent"): ("always NoUpdateAvailableException: agents are updated with their package",),
    ("elbv2", "CreateLoadBalancer"): (
        "gateway load balancers, IPv6 address types, fixed addresses, address pools: InvalidConfigurationRequest",
        "Elastic IP allocations: AllocationIdNotFound",
    ),
    ("elbv2", "SetSubnets"): _ADDRESSES,
    ("elbv2", "SetIpAddressType"): ("IPv6 address types: InvalidConfigurationRequest",),
    ("elbv2", "SetSecurityGroups"): (
        "enforceSecurityGroupInboundRulesOnPrivateLinkTraffic off: InvalidConfigurationRequest",
    ),
    ("elbv2", "CreateTargetGroup"): (
        "lambda and alb targets, GENEVE, QUIC, IPv6, target control ports: InvalidConfigurationRequest",
    ),
    ("elbv2", "CreateListener"): (*_ACTIONS, *_LISTENER),
    ("elbv2", "ModifyListener"): (*_ACTIONS, *_LISTENER),
    ("elbv2", "CreateRule"): (*_ACTIONS, _CONDITIONS, "transforms: InvalidConfigurationRequest"),
    ("elbv2", "ModifyRule"): (*_ACTIONS, _CONDITIONS, "transforms: ValidationError"),
    ("elbv2", "ModifyLoadBalancerAttributes"): _refused_attributes(APPLICATION, NETWORK),
    ("elbv2", "ModifyTargetGroupAttributes"): (
        *_refused_attributes(HTTP_TARGETS, STREAM_TARGETS),
        "on UDP and TCP_UDP deregistration_delay.connection_termination.enabled false: InvalidConfigurationRequest",
        "on UDP and TCP_UDP proxy_protocol_v2.enabled true: InvalidConfigurationRequest",
        "stickiness.type app_cookie when enabled: InvalidConfigurationRequest",
    ),
    ("elbv2", "ModifyListenerAttributes"): _refused_attributes(HTTPS_LISTENER, TCP_LISTENER),
}
