"""How far the data plane has come, for those who must not go on before it has.

The store's rows say at once what shall be served; the data plane follows, in milliseconds as a rule, but only after it
has found a restarted server again. Kept in memory: a server that has just started knows nothing of what its data plane
serves until it has told it.
"""


class Served:
    """`version`: everything up to this version of the store is served."""

    def __init__(self) -> None:
        self.version = -1

    def through(self, version: int) -> None:
        self.version = max(self.version, version)
