"""Edited chunks, their questions, and curated answers

Revision: 0003
Follows: 0001
"""

import sqlalchemy as sa
from alembic import op

import knowledge.tables

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    # Plain ADD COLUMN: rebuilding `chunks` in a batch would cascade into tables that refer to it.
    for column in (
        sa.Column("origin", sa.String(16), server_default="parsed", nullable=False),
        sa.Column("pinned", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("original", sa.Text(), nullable=True),
        sa.Column("edited_by", sa.String(64), nullable=True),
        sa.Column("edited_at", knowledge.tables.UtcDateTime(timezone=True), nullable=True),
    ):
        op.add_column("chunks", column)
    op.add_column("documents", sa.Column("split_rule", sa.JSON(), nullable=True))
    op.create_table(
        "chunk_questions",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("chunk_id", BIG_ID, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("author", sa.String(64), nullable=False),
        sa.Column("created_at", knowledge.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("embedder", sa.String(200), nullable=True),
        sa.Column("embedding", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["chunk_id"],
            ["chunks.id"],
            name=op.f("fk_chunk_questions_chunk_id_chunks"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chunk_questions")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_chunk_questions_chunk_id"), "chunk_questions", ["chunk_id"])
    _create_curated()


def _create_curated() -> None:
    op.create_table(
        "curated_answers",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("language", sa.String(8), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("author", sa.String(64), nullable=False),
        sa.Column("created_at", knowledge.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("updated_at", knowledge.tables.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_curated_answers")),
    )
    op.create_index(op.f("ix_curated_answers_updated_at"), "curated_answers", ["updated_at"])
    _create_part(
        "curated_questions",
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("embedder", sa.String(200), nullable=False),
        sa.Column("embedding", sa.LargeBinary(), nullable=False),
    )
    _create_part(
        "curated_hits",
        sa.Column("at", knowledge.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("similarity", sa.Float(), nullable=False),
        sa.Column("conversation_id", sa.String(32), nullable=False),
        sa.Column("message_id", sa.String(32), nullable=False),
    )


def _create_part(name: str, *columns: sa.Column[object]) -> None:
    """Creates a table whose rows belong to a curated answer."""
    op.create_table(
        name,
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("answer_id", sa.String(32), nullable=False),
        *columns,
        sa.ForeignKeyConstraint(
            ["answer_id"],
            ["curated_answers.id"],
            name=op.f(f"fk_{name}_answer_id_curated_answers"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{name}")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f(f"ix_{name}_answer_id"), name, ["answer_id"])


def downgrade() -> None:
    for table in ("curated_hits", "curated_questions", "curated_answers", "chunk_questions"):
        op.drop_table(table)
    op.drop_column("documents", "split_rule")
    for column in ("edited_at", "edited_by", "original", "pinned", "origin"):
        op.drop_column("chunks", column)
