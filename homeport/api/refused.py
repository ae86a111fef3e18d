"""Settings that the served operations refuse, for the coverage page: (service, operation) -> what, and with which error.

One sentence each; kept beside the handlers so that whoever adds a refusal adds its line.
"""

_EXEC = "enableExecuteCommand: UnsupportedFeatureException"
_VOLUMES = "volumeConfigurations: UnsupportedFeatureException"
_DEFINITION = "definitions that use awsvpc, secrets, environment files, EFS and the like: UnsupportedFeatureException"
_SETTINGS = "awsvpcTrunking, fargateFIPSMode, fargateEventWindows, tagResourceAuthorization turned on: ClientException"

REFUSED: dict[tuple[str, str], tuple[str, ...]] = {
    ("ecs", "RunTask"): (
        "launchType FARGATE, MANAGED_INSTANCES: UnsupportedFeatureException",
        "capacityProviderStrategy: UnsupportedFeatureException",
        _EXEC,
        _VOLUMES,
        _DEFINITION,
    ),
    ("ecs", "StartTask"): (_EXEC, _VOLUMES, _DEFINITION),
    ("ecs", "CreateCluster"): (
        "capacityProviders, defaultCapacityProviderStrategy: ClientException",
        "serviceConnectDefaults: ClientException",
    ),
    ("ecs", "UpdateCluster"): ("serviceConnectDefaults: ClientException",),
    ("ecs", "PutAccountSetting"): (_SETTINGS,),
    ("ecs", "PutAccountSettingDefault"): (_SETTINGS,),
    ("ecs", "ListTasks"): ("daemonName: InvalidParameterException",),
    ("ecs", "UpdateContainerAgent"): ("always NoUpdateAvailableException: agents are updated with their package",),
}
