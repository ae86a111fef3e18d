"""What an agent is sent for a task: its task definition and overrides, rendered into the agent protocol. All pure."""

from homeport.control.payload.task import Rendering, render_stop, render_task

__all__ = ["Rendering", "render_stop", "render_task"]
