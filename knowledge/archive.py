"""The whole knowledge base as one file, there and back."""

from pathlib import Path

from sqlalchemy import Engine

from knowledge.archive_export import export_archive
from knowledge.archive_format import ArchiveManifest
from knowledge.archive_import import import_archive


class KnowledgeArchive:
    """Exports and restores all documents with everything that belongs to them.

    Args:
        engine: The database.
        uploads_dir: Where original bytes are kept.
    """

    def __init__(self, engine: Engine, *, uploads_dir: Path) -> None:
        self._engine = engine
        self._uploads_dir = uploads_dir

    def export(self, target: Path) -> ArchiveManifest:
        """Writes the file, as `export_archive` does."""
        return export_archive(self._engine, target, uploads_dir=self._uploads_dir)

    def restore(self, source: Path, *, replace: bool = False) -> ArchiveManifest:
        """Reads the file, as `import_archive` does."""
        return import_archive(self._engine, source, uploads_dir=self._uploads_dir, replace=replace)
