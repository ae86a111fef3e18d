"""CloudWatch Logs in memory, for tests of the intake and its forwarder."""

import asyncio

from homeport.agent.backend import Refused
from homeport.base.errors import Transient
from homeport.shapes import logs as shapes


class MemoryLogs:
    """`LogsBackend`. `down`: no answer; `hangs`: never an answer; `refusals`: raised once each, before anything happens."""

    def __init__(self, *groups):
        self.groups = {name: {} for name in groups}
        self.down = False
        self.hangs = False
        self.refusals = []
        self.calls = []

    async def call_logs(self, operation, request):
        await asyncio.sleep(0.001)
        if self.hangs:
            await asyncio.sleep(3600)
        if self.down:
            raise Transient("no answer")
        self.calls.append(operation)
        if self.refusals:
            raise self.refusals.pop(0)
        return getattr(self, operation)(request)

    def CreateLogGroup(self, request):
        if request.log_group_name in self.groups:
            raise Refused("ResourceAlreadyExistsException", "The specified log group already exists")
        self.groups[request.log_group_name] = {}
        return shapes.CreateLogGroupResponse()

    def CreateLogStream(self, request):
        if request.log_stream_name in self._group(request):
            raise Refused("ResourceAlreadyExistsException", "The specified log stream already exists")
        self._group(request)[request.log_stream_name] = []
        return shapes.CreateLogStreamResponse()

    def PutLogEvents(self, request):
        events = self._group(request).get(request.log_stream_name)
        if events is None:
            raise Refused("ResourceNotFoundException", "The specified log stream does not exist.")
        events.extend(event.message for event in request.log_events)
        return shapes.PutLogEventsResponse(next_sequence_token="1")

    def _group(self, request):
        if request.log_group_name not in self.groups:
            raise Refused("ResourceNotFoundException", "The specified log group does not exist.")
        return self.groups[request.log_group_name]
