"""What counts of a customer's message, labels that people overwrote, how soon to answer.

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

import knowledge.tables

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_UTC = knowledge.tables.UtcDateTime(timezone=True)
_COLUMNS = (
    ("messages", "intent", sa.String(length=64)),
    ("messages", "sentiment", sa.String(length=16)),
    ("messages", "severity", sa.Integer()),
    ("conversations", "priority", sa.Integer()),
    ("conversations", "due_at", _UTC),
)


def upgrade() -> None:
    for table, name, kind in _COLUMNS:
        op.add_column(table, sa.Column(name, kind, nullable=True))
    op.create_table(
        "label_corrections",
        sa.Column("id", _BIG_ID, autoincrement=True, nullable=False),
        sa.Column("message_id", sa.String(length=32), nullable=False),
        sa.Column("task", sa.String(length=16), nullable=False),
        sa.Column("old_label", sa.String(length=64), nullable=True),
        sa.Column("new_label", sa.String(length=64), nullable=False),
        sa.Column("author", sa.String(length=64), nullable=False),
        sa.Column("at", _UTC, nullable=False),
        sa.ForeignKeyConstraint(
            ["message_id"],
            ["messages.id"],
            name=op.f("fk_label_corrections_message_id_messages"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_label_corrections")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_label_corrections_message_task", "label_corrections", ["message_id", "task"]
    )
    op.create_index(op.f("ix_label_corrections_at"), "label_corrections", ["at"])


def downgrade() -> None:
    op.drop_table("label_corrections")
    for table, name, _ in reversed(_COLUMNS):
        op.drop_column(table, name)
