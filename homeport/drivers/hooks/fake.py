"""Functions as a script: each call takes the next answer; the last one stays."""

from collections.abc import Sequence

import msgspec

from homeport.drivers.hooks import Answer, Call, Returned


class FakeFunctions:
    """`answers` are dictionaries (what the function returns) or answers as they are; `calls` are those that came."""

    def __init__(self, *answers: dict[str, object] | Answer) -> None:
        self.answers: Sequence[dict[str, object] | Answer] = answers or ({"hookStatus": "SUCCEEDED"},)
        self.calls: list[Call] = []

    async def call(self, call: Call) -> Answer:
        answer = self.answers[min(len(self.calls), len(self.answers) - 1)]
        self.calls.append(call)
        return Returned(msgspec.json.encode(answer)) if isinstance(answer, dict) else answer

    @property
    def payloads(self) -> list[dict[str, object]]:
        return [msgspec.json.decode(call.payload) for call in self.calls]
