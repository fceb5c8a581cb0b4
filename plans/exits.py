"""The exit codes of every program."""

from enum import IntEnum


class Exit(IntEnum):
    """What a pipeline is told. The order of severity is 0, 1, 3, 2: what was not run is worse than what is unsure."""

    PASS = 0
    FAIL = 1
    USAGE = 2
    """Bad plan, option or file: nothing was run."""
    INVALID = 3
