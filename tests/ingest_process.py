"""Works a knowledge base off in a process of its own, so that tests can kill it.

Usage: ingest_process.py FOLDER DELAY_S [save]
Writes FOLDER/ready once it is open. With `save` it saves the index over and over instead.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bot.database import open_database
from knowledge.words import WordSplitter
from tests.fakes import FakeEmbedder
from tests.knowledge_kit import KnowledgeBase


def main() -> None:
    folder, delay_s = Path(sys.argv[1]), float(sys.argv[2])
    engine = open_database(f"sqlite:///{folder / 'test.db'}")
    embedder = FakeEmbedder(delay_s=delay_s)
    kb = KnowledgeBase(folder, engine, embedder, WordSplitter(folder / "words"))
    kb.indexes.open()
    (folder / "ready").touch()
    while "save" in sys.argv:
        kb.indexes._saved = None
        kb.indexes.save()
    kb.worker.run_until_idle()
    kb.indexes.close()


if __name__ == "__main__":
    main()
