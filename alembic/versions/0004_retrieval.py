"""Parts of passages, terms, live search settings and evaluation runs

Revision: 0004
Follows: 0001
"""

import sqlalchemy as sa
from alembic import op

import knowledge.tables

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    with op.batch_alter_table("chunks") as batch_op:
        batch_op.add_column(sa.Column("part_embeddings", sa.LargeBinary(), nullable=True))
    op.create_table(
        "terms",
        sa.Column("id", _BIG_ID, autoincrement=True, nullable=False),
        sa.Column("words", sa.JSON(), nullable=False),
        sa.Column("updated_at", knowledge.tables.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_terms")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "search_settings",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("values", sa.JSON(), nullable=False),
        sa.Column("author", sa.String(length=64), nullable=False),
        sa.Column("updated_at", knowledge.tables.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_search_settings")),
    )
    op.create_table(
        "eval_runs",
        sa.Column("id", _BIG_ID, autoincrement=True, nullable=False),
        sa.Column("at", knowledge.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("source", sa.String(length=255), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("report", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_eval_runs")),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    for table in ("eval_runs", "search_settings", "terms"):
        op.drop_table(table)
    with op.batch_alter_table("chunks") as batch_op:
        batch_op.drop_column("part_embeddings")
