"""A session's messages are read in the order they were born: an index in that order, or each page sorts all of them."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.execute("CREATE INDEX message_by_birth ON message (session_id, born)")
