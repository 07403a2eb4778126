"""The company's own intents and their examples.

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

from knowledge.tables import BigId, UtcDateTime

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "intents",
        sa.Column("key", sa.String(length=48), nullable=False),
        sa.Column("name_zh", sa.String(length=80), nullable=False),
        sa.Column("name_en", sa.String(length=80), nullable=False),
        sa.Column("description_zh", sa.Text(), nullable=False),
        sa.Column("description_en", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("author", sa.String(length=64), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_intents")),
    )
    op.create_table(
        "intent_examples",
        sa.Column("id", BigId, autoincrement=True, nullable=False),
        sa.Column("intent_key", sa.String(length=48), nullable=False),
        sa.Column("language", sa.String(length=8), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["intent_key"],
            ["intents.key"],
            name=op.f("fk_intent_examples_intent_key_intents"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_intent_examples")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_intent_examples_intent_key"), "intent_examples", ["intent_key"])


def downgrade() -> None:
    op.drop_index(op.f("ix_intent_examples_intent_key"), "intent_examples")
    op.drop_table("intent_examples")
    op.drop_table("intents")
