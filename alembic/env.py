"""Runs migrations against the database that the settings name.

A caller that already has a connection (the application, tests) passes it in
`config.attributes["connection"]`; the `alembic` command reads the settings.
"""

from alembic import context
from sqlalchemy import create_engine

import bot.tables  # noqa: F401  # registers its tables on the shared metadata
from bot.settings import load_settings
from knowledge.tables import Base


def _run(connection: object) -> None:
    context.configure(
        connection=connection,  # type: ignore[arg-type]
        target_metadata=Base.metadata,
        render_as_batch=True,  # SQLite alters tables by copying them
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    _run(given)
else:
    settings = load_settings()
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with create_engine(settings.database_url).connect() as own:
        _run(own)
