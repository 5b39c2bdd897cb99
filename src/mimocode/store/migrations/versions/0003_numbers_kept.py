"""Numbers of writes are given out once, also where a power cut takes commits back: a ceiling, and the gaps it left.

How far an older file had counted before a power cut is not known; so many writes as are added here are not lost by one.
"""

from alembic import op

revision = "0003"
down_revision = "0002"

STEPS = [
    "ALTER TABLE counter ADD COLUMN ceiling INTEGER",
    "UPDATE counter SET ceiling = CASE seq WHEN 0 THEN 0 ELSE seq + 10000 END",
    "CREATE TABLE gap (first INTEGER PRIMARY KEY, last INTEGER NOT NULL)",
]


def upgrade() -> None:
    for statement in STEPS:
        op.execute(statement)
