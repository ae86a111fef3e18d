"""Targets that answer as a test or a simulation says."""

from collections.abc import Awaitable, Callable

from homeport.drivers.probe import Answered, Failed, Outcome, Probe

Answer = Callable[[Probe], Awaitable[Outcome] | Outcome]


class FakeProber:
    """`answers` by host and port: an outcome, or a function of the probe. Nobody listens at any other place."""

    def __init__(self, answers: dict[tuple[str, int], Outcome | Answer] | None = None) -> None:
        self.answers = answers or {}
        self.probes: list[Probe] = []
        self.under_way = 0
        self.most_under_way = 0

    async def probe(self, probe: Probe) -> Outcome:
        self.probes.append(probe)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            answer = self.answers.get((probe.host, probe.port), Failed("connection refused"))
            if not callable(answer):
                return answer
            outcome = answer(probe)
            return await outcome if isinstance(outcome, Awaitable) else outcome
        finally:
            self.under_way -= 1

    def answer(self, host: str, port: int, code: int | None = 200) -> None:
        """From now on, answer with the code."""
        self.answers[host, port] = Answered(code)
