"""One measured figure: what it is, what it should be, and whether it is."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """`goal` None: told for information. `is_most`: the goal is the most that is allowed, else the least.

    `how` says from what the figure was made, in the measured units.
    """

    what: str
    value: float
    unit: str = "×"
    goal: float | None = None
    is_most: bool = True
    how: str = ""

    @property
    def is_met(self) -> bool:
        if self.goal is None:
            return True
        return self.value <= self.goal if self.is_most else self.value >= self.goal

    @property
    def verdict(self) -> str:
        return "" if self.goal is None else "✓" if self.is_met else "✗"

    @property
    def goal_text(self) -> str:
        return "" if self.goal is None else f"{'≤' if self.is_most else '≥'} {number(self.goal)} {self.unit}".rstrip()

    @property
    def value_text(self) -> str:
        return f"{number(self.value)} {self.unit}"


def number(value: float) -> str:
    """With as many digits as are worth reading."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The ratio of the medians."""
    return statistics.median(ours) / statistics.median(theirs)


def spread(values: Sequence[float]) -> str:
    """Median with the quartiles, seconds as they were measured."""
    if len(values) < 4:
        return f"{statistics.median(values):.3f} s ({min(values):.3f} to {max(values):.3f}, n={len(values)})"
    low, _, high = statistics.quantiles(values, n=4)
    return f"{statistics.median(values):.3f} s (quartiles {low:.3f} to {high:.3f}, n={len(values)})"
