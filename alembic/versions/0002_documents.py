"""Visibility, dates, tags and archive of documents; their use in conversations

Revision: 0002
Follows: 0001
"""

import json

import sqlalchemy as sa
from alembic import op

import knowledge.tables

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_COLUMNS = (
    "visibility",
    "tags",
    "language_is_set",
    "effective_from",
    "expires_at",
    "archived_at",
    "n_words",
)


def upgrade() -> None:
    moment = knowledge.tables.UtcDateTime(timezone=True)
    with op.batch_alter_table("documents", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("visibility", sa.String(16), server_default="public", nullable=False)
        )
        batch_op.add_column(sa.Column("tags", sa.JSON(), server_default="[]", nullable=False))
        batch_op.add_column(
            sa.Column("language_is_set", sa.Boolean(), server_default=sa.false(), nullable=False)
        )
        batch_op.add_column(sa.Column("effective_from", moment, nullable=True))
        batch_op.add_column(sa.Column("expires_at", moment, nullable=True))
        batch_op.add_column(sa.Column("archived_at", moment, nullable=True))
        batch_op.add_column(sa.Column("n_words", sa.Integer(), nullable=True))
    op.create_table(
        "document_uses",
        sa.Column("document_id", sa.String(32), nullable=False),
        sa.Column("conversation_id", sa.String(32), nullable=False),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversations.id"],
            name=op.f("fk_document_uses_conversation_id_conversations"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("document_id", "conversation_id", name=op.f("pk_document_uses")),
    )
    with op.batch_alter_table("document_uses", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_document_uses_conversation_id"), ["conversation_id"], unique=False
        )
    _fill_uses()


def _fill_uses() -> None:
    """Takes the uses so far from the citations of the answers that are stored."""
    connection = op.get_bind()
    stored = connection.execute(
        sa.text("SELECT conversation_id, citations FROM messages WHERE citations IS NOT NULL")
    )
    pairs = set()
    for conversation_id, citations in stored:
        items = json.loads(citations) if isinstance(citations, str) else citations
        pairs |= {(item["document_id"], conversation_id) for item in items or ()}
    table = sa.table("document_uses", sa.column("document_id"), sa.column("conversation_id"))
    if pairs:
        rows = [{"document_id": d, "conversation_id": c} for d, c in sorted(pairs)]
        connection.execute(sa.insert(table), rows)


def downgrade() -> None:
    op.drop_table("document_uses")
    with op.batch_alter_table("documents", schema=None) as batch_op:
        for name in reversed(_COLUMNS):
            batch_op.drop_column(name)
