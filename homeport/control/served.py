"""How far the data plane has come, for those who must not go on before it has.

The store's rows say at once what shall be served; the data plane follows, in milliseconds as a rule, but only after it
has found a restarted server again. Kept in memory: a server that has just started knows nothing of what its data plane
serves until it has told it.
"""

from collections.abc import Iterable


class Served:
    """`version`: everything up to this version of the store is served, but by load balancers that are `behind`.

    Those (by ARN) serve what they did at an earlier version, because the data plane refuses what they should serve now.
    """

    def __init__(self) -> None:
        self.version = -1
        self.behind: dict[str, int] = {}

    def through(self, version: int, refused: Iterable[str] = ()) -> None:
        """Up to the version, but for the load balancers whose part was refused."""
        self.behind = {arn: self.behind.get(arn, self.version) for arn in refused}
        self.version = max(self.version, version)

    def version_of(self, load_balancers: Iterable[str]) -> int:
        """The version up to which all of these are served."""
        return min((self.behind.get(arn, self.version) for arn in load_balancers), default=self.version)
