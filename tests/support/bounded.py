"""How many examples property tests try: the same few each time, or as many as asked for, each time others.

MIMOCODE_EXAMPLES=5000 .venv/bin/python -m pytest tests/stateful
"""

import os

from hypothesis import HealthCheck, settings

_VARIABLE = "MIMOCODE_EXAMPLES"


def thorough() -> bool:
    """Whether somebody asked for more than the few."""
    return bool(os.environ.get(_VARIABLE))


def bounded(examples: int, *, steps: int = 50) -> settings:
    """`examples` is for a run that nobody asked to be thorough, `steps` for machines of rules."""
    wanted = os.environ.get(_VARIABLE)
    return settings(
        deadline=None,
        database=None,
        derandomize=not wanted,
        max_examples=int(wanted) if wanted else examples,
        # They open files: how long that takes says nothing of them.
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        stateful_step_count=steps,
    )
