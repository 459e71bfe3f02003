"""Removal of what is missing from the folders or the settings: at once, or withheld until it is confirmed."""

from collections.abc import Collection, Sequence

from knowledge.change_detection import MissingFiles
from knowledge.passages import WithheldRemoval
from knowledge.store.index_writer import IndexedFile
from knowledge.store.store import KnowledgeStore


class Removals:
    """The removals of one reindex. Without `confirmed`, what may come back stays in the index and is reported."""

    def __init__(self, store: KnowledgeStore, *, confirmed: bool) -> None:
        self._store = store
        self._confirmed = confirmed
        self.documents = 0
        """Documents removed so far."""
        self.withheld: list[WithheldRemoval] = []

    async def remove_files(self, collection: str, missing: MissingFiles) -> None:
        """Remove the files of a collection that are missing."""
        await self._remove(missing.removable)
        if self._confirmed:
            await self._remove((*missing.unmounted, *missing.vanished))
            return
        if missing.unmounted:
            self.withheld.append(WithheldRemoval(collection, _documents(missing.unmounted), "unmounted"))
        if missing.vanished:
            self.withheld.append(WithheldRemoval(collection, _documents(missing.vanished), "vanished"))

    async def remove_unconfigured(self, configured: Collection[str]) -> None:
        """Remove the collections that the settings do not name; empty ones without confirmation."""
        others = await self._store.writer.other_collections(configured)
        removed = [other for other in others if self._confirmed or not other.documents]
        if removed:
            await self._store.writer.remove_collections([other.id for other in removed])
            self.documents += sum(other.documents for other in removed)
        if not self._confirmed:
            self.withheld += await withheld_collections(self._store, configured)

    async def _remove(self, files: Sequence[IndexedFile]) -> None:
        if files:
            await self._store.writer.remove_files(files)
            self.documents += _documents(files)


async def withheld_collections(store: KnowledgeStore, configured: Collection[str]) -> tuple[WithheldRemoval, ...]:
    """The collections with documents that the settings do not name, ordered by name."""
    others = await store.writer.other_collections(configured)
    return tuple(WithheldRemoval(other.name, other.documents, "unconfigured") for other in others if other.documents)


def _documents(files: Sequence[IndexedFile]) -> int:
    return sum(file.documents for file in files)
