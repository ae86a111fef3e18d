"""Settings that the served operations refuse, for the coverage page: (service, operation) -> what, and with which error.

One sentence each; kept beside the handlers so that whoever adds a refusal adds its line.
"""

REFUSED: dict[tuple[str, str], tuple[str, ...]] = {}
