"""Runs one reindex in a process of its own, which tests kill or deny its disk: DATA DOCUMENTS [LIMIT_BYTES]."""

import asyncio
import resource
import signal
import sys
from pathlib import Path

from knowledge.embedding import HashingEmbedder
from knowledge.library import Library
from knowledge.passages import ReindexProgress
from knowledge.settings import CollectionSettings, KnowledgeSettings
from knowledge.sqlite import DatabaseUnusable
from tests.fakes.paragraph_reader import ParagraphReader

DIMENSION = 64


def settings(documents: Path) -> KnowledgeSettings:
    """One collection with the documents."""
    return KnowledgeSettings(collections={"home": CollectionSettings(folder=documents, include=("*.txt", "*.rows"))})


def tell(progress: ReindexProgress) -> None:
    """Say on standard output what is being done."""
    print(progress.phase, flush=True)


async def reindex(data: Path, documents: Path) -> None:
    """Open, bring up to date, close."""
    library = await Library.open(settings(documents), HashingEmbedder(DIMENSION), ParagraphReader(), data)
    try:
        print(await library.reindex(on_progress=tell), flush=True)
    finally:
        await library.close()


def main(data: str, documents: str, limit_bytes: str = "") -> None:
    """Exit with 3 and the sentence when the database cannot be written."""
    if limit_bytes:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit_bytes), int(limit_bytes)))
    try:
        asyncio.run(reindex(Path(data), Path(documents)))
    except DatabaseUnusable as error:
        print(error, flush=True)
        sys.exit(3)


if __name__ == "__main__":
    main(*sys.argv[1:])
