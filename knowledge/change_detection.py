"""Change detection: which files of a folder changed since the last reindex."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from knowledge.folder_scan import FolderScan, FoundFile, content_hash
from knowledge.loaders.log_tail import is_log
from knowledge.loaders.types import LoadLimits
from knowledge.reader import FileUnreadable
from knowledge.reading.files import first_byte
from knowledge.store.index_writer import FileFacts, IndexedFile

ALWAYS_HASHED_BYTES = 1 << 20
"""Larger files with the same size, time and inode count as unchanged: hashing a video archive takes an hour."""


@dataclass(frozen=True, slots=True)
class ExaminedFile:
    """An examined file. `known`: its stored record, if any. `failure`: why it could not be examined, or empty."""

    file: FoundFile
    facts: FileFacts
    known: IndexedFile | None
    failure: str = ""

    @property
    def is_unchanged(self) -> bool:
        """Whether content and reading recipe are the same as when it was last read successfully."""
        return self.known is not None and bool(self.facts.hash) and self.facts.hash == self.known.hash

    @property
    def is_touched(self) -> bool:
        """Whether only its size, time or inode changed, not its content."""
        known, facts = self.known, self.facts
        return (
            self.is_unchanged
            and known is not None
            and (known.size_bytes, known.mtime_ns, known.inode) != (facts.size_bytes, facts.mtime_ns, facts.inode)
        )


@dataclass(frozen=True, slots=True)
class MissingFiles:
    """The indexed files that were not found again.

    `removable` are gone. The others may come back, so their removal is to be confirmed: `unmounted` ones were on a file
    system that is no longer mounted, and `vanished` ones are more than half of the collection.
    """

    removable: tuple[IndexedFile, ...] = ()
    unmounted: tuple[IndexedFile, ...] = ()
    vanished: tuple[IndexedFile, ...] = ()


def examine_files(
    files: Sequence[FoundFile], known: Mapping[str, IndexedFile], recipe: str, limits: LoadLimits
) -> Iterator[ExaminedFile]:
    """Examine every file; blocks on the disk. `recipe` changes when the same content would be read differently."""
    log_recipe = f"{recipe}-{limits.file_bytes}-{limits.text_characters}"
    for file in files:
        before = known.get(file.document)
        try:
            start = first_byte(file.document, file.size_bytes, limits)
            digest = _digest(file, before, log_recipe if is_log(file.document) else recipe, start)
        except FileUnreadable as error:
            yield ExaminedFile(file, _facts(file, ""), before, error.reason)
        except OSError as error:
            yield ExaminedFile(file, _facts(file, ""), before, f"The file cannot be read: {error.strerror}.")
        else:
            yield ExaminedFile(file, _facts(file, digest), before)


def find_missing(
    known: Mapping[str, IndexedFile], scan: FolderScan, hashes: Collection[str], mounts: Collection[str]
) -> MissingFiles:
    """The files that have disappeared. Files below an unreadable folder do not count.

    `hashes`: of the files found; what was only moved or copied is not lost. `mounts`: the file systems mounted
    at the last scan.
    """
    missing = _missing(known, scan)
    lost = [file for file in missing if file.documents and file.hash not in hashes]
    gone_mounts = tuple(set(mounts) - scan.mounts)
    unmounted = [file for file in lost if file.path.startswith(gone_mounts)]
    rest = [file for file in lost if not file.path.startswith(gone_mounts)]
    holding = sum(1 for file in known.values() if file.documents)
    vanished = rest if 2 * len(rest) > holding else []
    withheld = {file.path for file in (*unmounted, *vanished)}
    return MissingFiles(tuple(file for file in missing if file.path not in withheld), tuple(unmounted), tuple(vanished))


def _missing(known: Mapping[str, IndexedFile], scan: FolderScan) -> list[IndexedFile]:
    found = {file.document for file in scan.files} | {entry.document for entry in scan.unreadable}
    folders = tuple(entry.document for entry in scan.unreadable if entry.document.endswith("/"))
    return [file for path, file in known.items() if path not in found and not path.startswith(folders)]


def _digest(file: FoundFile, before: IndexedFile | None, recipe: str, start: int) -> str:
    if (
        before is not None
        and file.size_bytes > ALWAYS_HASHED_BYTES
        and before.hash.endswith(recipe)
        and (before.size_bytes, before.mtime_ns, before.inode) == (file.size_bytes, file.mtime_ns, file.inode)
    ):
        return before.hash
    return content_hash(file.folder, file.document, start) + recipe


def _facts(file: FoundFile, digest: str) -> FileFacts:
    return FileFacts(file.document, file.size_bytes, file.mtime_ns, file.inode, digest)
