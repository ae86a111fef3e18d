"""Tells the control plane what became of tasks: per task in order, again until acknowledged, at most ten at once.

There is no queue of reports. Each is made from the record at the moment of sending, so the newest facts win and nothing
is told twice; what was acknowledged is written into the record itself, so a restarted agent goes on where it was.
"""

import asyncio
import random
from typing import Protocol

from homeport.agent.backend import Backend, Refused
from homeport.agent.record import ContainerStatus, TaskRecord
from homeport.agent.reports import Report, pending_report
from homeport.base.backoff import backoff_seconds
from homeport.base.clock import Clock
from homeport.base.errors import Transient
from homeport.base.log import get_logger
from homeport.base.supervise import Supervisor

log = get_logger("reporter")
CONCURRENT_REPORTS = 10
UNURGENT_DELAY_SECONDS = 0.5


class Tasks(Protocol):
    """Where records are read, and acknowledged."""

    def by_arn(self, task_arn: str) -> TaskRecord | None: ...
    def acknowledge(self, task_arn: str, report: Report) -> None: ...


class Reporter:
    """`changed` is called for every change of a record; it costs nothing when there is nothing to tell."""

    def __init__(
        self,
        backend: Backend,
        tasks: Tasks,
        clock: Clock,
        supervisor: Supervisor,
        rng: random.Random,
        *,
        cluster: str,
    ) -> None:
        self._backend = backend
        self._tasks = tasks
        self._clock = clock
        self._supervisor = supervisor
        self._rng = rng
        self._cluster = cluster
        self._slots = asyncio.Semaphore(CONCURRENT_REPORTS)
        self._sending: set[str] = set()
        self._waiting: set[str] = set()

    def changed(self, task: TaskRecord) -> None:
        """Report the task if anything is due: at once if urgent, else in half a second with whatever else comes."""
        if task.arn in self._sending:
            return
        report = pending_report(task, self._cluster)
        if report is None:
            return
        if report.is_urgent:
            self._sending.add(task.arn)
            self._supervisor.spawn(f"report {task.id}", self._send(task.arn))
        elif task.arn not in self._waiting:
            self._waiting.add(task.arn)
            self._supervisor.spawn(f"report later {task.id}", self._send_later(task.arn))

    async def _send_later(self, task_arn: str) -> None:
        await self._clock.sleep(UNURGENT_DELAY_SECONDS)
        self._waiting.discard(task_arn)
        if task_arn not in self._sending:
            self._sending.add(task_arn)
            await self._send(task_arn)

    async def _send(self, task_arn: str) -> None:
        """Send until nothing is due any more."""
        failures = 0
        try:
            while (task := self._tasks.by_arn(task_arn)) is not None:
                report = pending_report(task, self._cluster)
                if report is None:
                    return
                pause = await self._try(report, failures)
                if pause is None:
                    failures = 0
                    self._tasks.acknowledge(task_arn, report)
                else:
                    failures += 1
                    await self._clock.sleep(pause)
        finally:
            self._sending.discard(task_arn)

    async def _try(self, report: Report, failures: int) -> float | None:
        """None once acknowledged, else the seconds to wait before the next attempt."""
        try:
            async with self._slots:
                await self._backend.call("SubmitTaskStateChange", report.request)
        except Transient as error:
            log.info("report_delayed", task=report.request.task, error=str(error), failures=failures)
            return backoff_seconds(failures, first=0.05, factor=2, most=30, rng=self._rng)
        except Refused as error:
            log.warning("report_refused", task=report.request.task, status=report.request.status, error=str(error))
            if error.code == "InvalidParameterException" and report.task is not ContainerStatus.STOPPED:
                return None
            return backoff_seconds(failures, first=1, factor=1.3, most=30, rng=self._rng)
        log.info("reported", task=report.request.task, status=report.request.status)
        return None
