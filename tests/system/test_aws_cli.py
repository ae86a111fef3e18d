"""What a user types: the aws-cli against a running Homeport, real containers behind it."""

import json
import subprocess
import time

from tests.system.live import BIN, IMAGE, page_of, until

WEB = "mkdir -p /www; echo hello > /www/index.html; echo ready; httpd -p 8080 -h /www; trap 'echo bye; exit 3' TERM; while :; do sleep 0.1; done"


def ten_containers():
    """Init work, a server that becomes healthy, eight that wait for it."""
    log = {
        "logDriver": "awslogs",
        "options": {"awslogs-group": "/cli/app", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "app"},
    }
    init = {
        "name": "init",
        "essential": False,
        "command": ["sh", "-c", "echo prepared; exit 0"],
        "logConfiguration": log,
    }
    web = {
        "name": "web",
        "command": ["sh", "-c", WEB],
        "portMappings": [{"containerPort": 8080}],
        "dependsOn": [{"containerName": "init", "condition": "SUCCESS"}],
        "healthCheck": {
            "command": ["CMD-SHELL", "wget -q -O- http://127.0.0.1:8080/ || exit 1"],
            "interval": 5,
            "timeout": 2,
        },
        "logConfiguration": log,
        "stopTimeout": 5,
    }
    waiting = [
        {
            "name": f"side{number}",
            "essential": False,
            "command": ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"],
            "dependsOn": [{"containerName": "web", "condition": "HEALTHY" if number else "START"}],
        }
        for number in range(8)
    ]
    return [{"image": IMAGE, "memory": 16, **container} for container in (init, web, *waiting)]


def test_task_when_run_by_the_cli_then_ports_logs_health_and_exit_codes_are_real(live):
    live.aws("ecs", "create-cluster", "--cluster-name", "cli")
    assert "default" in str(live.aws("ecs", "list-clusters"))
    live.aws("logs", "create-log-group", "--log-group-name", "/cli/app")
    definition = live.aws(
        "ecs", "register-task-definition", "--family", "ten", "--network-mode", "bridge",
        "--container-definitions", json.dumps(ten_containers()),
    )["taskDefinition"]  # fmt: skip
    assert len(definition["containerDefinitions"]) == 10
    arn = live.aws("ecs", "run-task", "--task-definition", "ten", "--started-by", "me")["tasks"][0]["taskArn"]
    live.aws("ecs", "wait", "tasks-running", "--tasks", arn)
    task = live.aws("ecs", "describe-tasks", "--tasks", arn)["tasks"][0]
    web = next(container for container in task["containers"] if container["name"] == "web")
    assert web["healthStatus"] == "HEALTHY"
    port = web["networkBindings"][0]["hostPort"]
    assert page_of(f"http://127.0.0.1:{port}/") == b"hello\n"
    assert arn in live.aws("ecs", "list-tasks", "--started-by", "me")["taskArns"]

    stopped = live.aws("ecs", "stop-task", "--task", arn, "--reason", "seen enough")["task"]
    assert stopped["desiredStatus"] == "STOPPED"
    live.aws("ecs", "wait", "tasks-stopped", "--tasks", arn)
    task = live.aws("ecs", "describe-tasks", "--tasks", arn)["tasks"][0]
    assert (task["stopCode"], task["stoppedReason"]) == ("UserInitiated", "seen enough")
    codes = {container["name"]: container["exitCode"] for container in task["containers"]}
    assert codes == {"init": 0, "web": 3, **{f"side{number}": 0 for number in range(8)}}

    shown = until(lambda: {"bye", "ready", "prepared"} <= set(messages(live, "/cli/app")), what="the last log line")
    assert shown


def messages(live, group):
    return [event["message"] for event in live.aws("logs", "filter-log-events", "--log-group-name", group)["events"]]


def test_tail_when_following_then_new_lines_appear_once_and_in_order(live):
    """What `aws logs tail --follow` (version 2 of the cli) does: filter from the last instant on, skip what was seen."""
    logs = live.client("logs")
    logs.create_log_group(logGroupName="/cli/follow")
    logs.create_log_stream(logGroupName="/cli/follow", logStreamName="s")
    start, seen, lines = int(time.time() * 1000), set(), []
    for number in range(5):
        event = {"timestamp": int(time.time() * 1000), "message": f"line {number}"}
        logs.put_log_events(logGroupName="/cli/follow", logStreamName="s", logEvents=[event])
        for page in logs.get_paginator("filter_log_events").paginate(
            logGroupName="/cli/follow", startTime=start, interleaved=True
        ):
            fresh = [event for event in page["events"] if event["eventId"] not in seen]
            seen |= {event["eventId"] for event in fresh}
            lines += [event["message"] for event in fresh]
            start = max([start, *(event["timestamp"] for event in fresh)])
    assert lines == [f"line {number}" for number in range(5)]


def test_essential_exit_when_a_container_ends_then_the_task_says_which_code(live):
    definition = live.register("brief", {"name": "main", "command": ["sh", "-c", "exit 7"]})
    (arn,) = live.run(definition)
    task = until(lambda: (t := live.task(arn))["lastStatus"] == "STOPPED" and t, what="STOPPED")
    assert task["containers"][0]["exitCode"] == 7
    assert (task["stopCode"], task["stoppedReason"]) == (
        "EssentialContainerExited",
        "Essential container in task exited",
    )


def test_missing_image_when_run_then_the_reason_is_ecs_s(live):
    definition = live.register("missing", {"name": "main", "image": "127.0.0.1:1/no/such:image"})
    (arn,) = live.run(definition)
    task = until(lambda: (t := live.task(arn))["lastStatus"] == "STOPPED" and t, seconds=60, what="STOPPED")
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith("CannotPullContainerError")


def test_placement_when_too_large_then_failures_and_explain_name_the_resource(live):
    definition = live.register("huge", {"name": "main", "memory": 900_000})
    answer = live.ecs.run_task(taskDefinition=definition)
    assert [failure["reason"] for failure in answer["failures"]] == ["RESOURCE:MEMORY"]
    shown = live.homeport("explain", "task", "huge", check=False)
    assert shown.returncode == 1
    assert "900000 MiB" in shown.stdout.replace(",", "")


def test_profile_when_written_then_the_cli_needs_nothing_else(live, tmp_path):
    files = {"AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials")}
    (tmp_path / "config").write_text("# mine\n[profile other]\nregion = eu-west-1\n")
    live.homeport("profile", env={**live.environment(), **files})
    clean = {name: value for name, value in live.environment().items() if not name.startswith("AWS_")}
    command = [str(BIN / "aws"), "--profile", "homeport", "ecs", "list-clusters"]
    done = subprocess.run(command, env={**clean, **files, "AWS_PAGER": ""}, capture_output=True, text=True, check=True)
    assert "cluster/default" in done.stdout
    assert "# mine" in (tmp_path / "config").read_text()
