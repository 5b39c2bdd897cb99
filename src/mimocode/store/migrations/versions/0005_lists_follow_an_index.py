"""Sessions of a project or a directory are read in the order of their lists: without, all of them were sorted."""

from alembic import op

revision = "0005"
down_revision = "0004"

STEPS = [
    "CREATE INDEX session_by_project ON session (project_id, updated DESC, id)",
    "DROP INDEX session_by_directory",
    "CREATE INDEX session_by_directory ON session (directory, updated DESC, id)",
]


def upgrade() -> None:
    for statement in STEPS:
        op.execute(statement)
