"""What a stream has to say again is found by number: an index on each `seq`, and a removed session's last state.

Sessions that were removed before have left no state to tell: they are forgotten.
"""

from alembic import op

revision = "0002"
down_revision = "0001"

STEPS = [
    *(
        f"CREATE INDEX {table}_by_seq ON {table} (seq)"
        for table in ("project", "session", "turn", "message", "part", "ask", "todo")
    ),
    "ALTER TABLE removal ADD COLUMN data TEXT",
    "DELETE FROM removal WHERE message_id IS NULL",
]


def upgrade() -> None:
    for statement in STEPS:
        op.execute(statement)
