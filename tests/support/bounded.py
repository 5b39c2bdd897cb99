"""How many examples property tests try: the same few each time, or as many as asked for, each time others.

MIMOCODE_EXAMPLES=5000 .venv/bin/python -m pytest tests/stateful
"""

import os

from hypothesis import HealthCheck, settings


def bounded(examples: int, *, steps: int = 50) -> settings:
    """`examples` is for a run that nobody asked to be thorough, `steps` for machines of rules."""
    wanted = os.environ.get("MIMOCODE_EXAMPLES")
    return settings(
        deadline=None,
        database=None,
        derandomize=not wanted,
        max_examples=int(wanted) if wanted else examples,
        # They open files: how long that takes says nothing of them.
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        stateful_step_count=steps,
    )
