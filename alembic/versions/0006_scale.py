"""An index that covers which chunks are live.

Revision ID: 0006_scale
Revises: 0005
"""

from alembic import op

revision = "0006_scale"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_chunks_live", "chunks", ["document_id", "version", "enabled", "embedder"])


def downgrade() -> None:
    op.drop_index("ix_chunks_live", "chunks")
