"""An index that covers which chunks are live.

Revision ID: 0009
Revises: 0008
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_chunks_live", "chunks", ["document_id", "version", "enabled", "embedder"])


def downgrade() -> None:
    op.drop_index("ix_chunks_live", "chunks")
