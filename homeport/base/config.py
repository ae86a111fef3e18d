"""What an operator can set. Values come from command-line options, which default to the environment named here."""

from pathlib import Path

from msgspec import Struct

DEFAULT_PORT = 4566
DEFAULT_REGION = "us-east-1"
DEFAULT_INSTANCE_LOST_AFTER = 30.0


class ServerConfig(Struct, frozen=True, kw_only=True):
    """The control plane. All times in seconds.

    `instance_lost_after`: how long an agent may be away before its container instance counts as terminated and its
    tasks as lost. `heartbeat_interval`: how often each agent is asked for a sign of life; one that leaves two
    unanswered is away. `task_retention`: how long STOPPED tasks stay visible (ECS: at least an hour).
    `inactive_retention`: how long INACTIVE clusters and container instances stay visible. `hosts_file`: where the names
    of load balancers are kept for this host's programs (None: nowhere). `lambda_endpoint`: URL at which Lambda
    functions of lifecycle hooks are invoked (None: such hooks are refused).
    """

    data_dir: Path
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    region: str = DEFAULT_REGION
    instance_lost_after: float = DEFAULT_INSTANCE_LOST_AFTER
    task_retention: float = 3600.0
    inactive_retention: float = 3600.0
    credentials_lifetime: float = 6 * 3600.0
    heartbeat_interval: float = 10.0
    hosts_file: Path | None = None
    lambda_endpoint: str | None = None
    log_level: str = "info"


class AgentConfig(Struct, frozen=True, kw_only=True):
    """One agent on one host. Names and defaults follow the Amazon ECS agent's environment variables where it has one.

    `address`: the IPv4 address at which load balancers reach this host's published ports (None: not told).
    """

    data_dir: Path
    endpoint: str
    region: str = DEFAULT_REGION
    access_key_id: str = ""
    secret_access_key: str = ""
    session_token: str | None = None
    cluster: str = "default"
    docker_host: str = "unix:///var/run/docker.sock"
    availability_zone: str | None = None
    address: str | None = None
    instance_attributes: dict[str, str] = {}
    instance_tags: dict[str, str] = {}
    gpu_ids: tuple[str, ...] = ()
    reserved_memory_mib: int = 0
    reserved_ports: tuple[int, ...] = (22, 2375, 2376, 51678, 51679)
    reserved_ports_udp: tuple[int, ...] = ()
    total_cpu_units: int | None = None
    total_memory_mib: int | None = None
    image_pull_behavior: str = "default"
    container_stop_timeout: float = 30.0
    container_start_timeout: float = 180.0
    task_cleanup_wait: float = 3 * 3600.0
    image_cleanup_interval: float = 1800.0
    image_minimum_age: float = 3600.0
    images_per_cleanup: int = 5
    task_cpu_mem_limit: bool = True
    task_endpoint_address: str = "169.254.170.2"
    task_endpoint_port: int = 80
    introspection_port: int = 51678
    log_intake_port: int = 51681
    dns_address: str | None = "169.254.169.253"
    dns_port: int = 53
    resolv_conf: Path = Path("/etc/resolv.conf")
    dynamic_port_range: tuple[int, int] | None = None
    metrics_interval: float = 20.0
    log_level: str = "info"
