"""Folder scan: the files of a collection's folder."""

import logging
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import xxhash

from knowledge.globs import compile_globs, matches_any, names_file_kind
from knowledge.loaders import READABLE_SUFFIXES

_log = logging.getLogger(__name__)
_JUNK = re.compile(
    r"\..*|~\$.*|.*~|.*\.(tmp|temp|swp|part|crdownload|bak)|thumbs\.db|desktop\.ini|__pycache__|node_modules"
    r"|@eadir|#recycle|#snapshot|\$recycle\.bin|system volume information|lost\+found",
    re.IGNORECASE,
)
"""Hidden files, leftovers of editors and downloads, and service folders of common NAS systems."""
_HASH_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file to index. `document` is its path below the folder, with forward slashes.

    Size, time and inode cheaply suggest that a file is unchanged; only the content hash proves it.
    """

    path: Path
    document: str
    size_bytes: int
    mtime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class UnreadableEntry:
    """A file or folder that could not be examined, and the reason. A folder's `document` ends in a slash."""

    document: str
    reason: str


@dataclass(frozen=True, slots=True)
class FolderScan:
    """The files of a folder, sorted by document. Documents below an unreadable folder are unknown."""

    files: tuple[FoundFile, ...]
    unreadable: tuple[UnreadableEntry, ...]


@dataclass(eq=False)
class FolderUnreadable(Exception):
    """A collection's folder cannot be read at all; `reason` is a sentence."""

    user_facing = True
    reason: str

    def __str__(self) -> str:
        return self.reason


def scan_folder(folder: Path, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> FolderScan:
    """The files below a folder that match `include` (none: every kind that can be read) and not `exclude`.

    Hidden files, junk and linked folders are left out, and linked files unless their target is in the folder too.
    Blocks on the disk. Raises FolderUnreadable.
    """
    root = Path(os.path.realpath(folder))
    found = sorted(_walk(root, folder, _PathFilter(include, exclude)), key=lambda item: item.document)
    files = tuple(item for item in found if isinstance(item, FoundFile))
    return FolderScan(files, tuple(item for item in found if isinstance(item, UnreadableEntry)))


def content_hash(path: Path) -> str:
    """The xxh3-128 of a file's content as 32 hexadecimal digits: detects changes, does not resist forgery.

    Blocks on the disk. Raises OSError.
    """
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(_HASH_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


class _PathFilter:
    """The include and exclude patterns of a collection."""

    def __init__(self, include: Iterable[str], exclude: Iterable[str]) -> None:
        patterns = list(include)
        self._any_kind = compile_globs(pattern for pattern in patterns if names_file_kind(pattern))
        self._known_kinds = compile_globs(pattern for pattern in patterns if not names_file_kind(pattern))
        self._everything = not patterns
        self._exclude = compile_globs(exclude)

    def includes_folder(self, document: str) -> bool:
        return not matches_any(self._exclude, document) and not matches_any(self._exclude, document + "/")

    def includes_file(self, document: str) -> bool:
        if matches_any(self._exclude, document):
            return False
        if matches_any(self._any_kind, document):
            return True
        known = PurePosixPath(document).suffix.lower() in READABLE_SUFFIXES
        return known and (self._everything or matches_any(self._known_kinds, document))


def _walk(root: Path, folder: Path, path_filter: _PathFilter) -> Iterator[FoundFile | UnreadableEntry]:
    waiting = [""]
    while waiting:
        below = waiting.pop()
        try:
            with os.scandir(root / below) as entries:
                listed = list(entries)
        except OSError as error:
            if not below:
                raise FolderUnreadable(_folder_error_sentence(folder, error)) from error
            yield UnreadableEntry(below, f"The folder cannot be read: {error.strerror}.")
            continue
        for entry in listed:
            document = below + entry.name
            if _JUNK.fullmatch(entry.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                if path_filter.includes_folder(document):
                    waiting.append(document + "/")
            elif path_filter.includes_file(document):
                yield from _stat_entry(entry, document, root)


def _stat_entry(entry: "os.DirEntry[str]", document: str, root: Path) -> Iterator[FoundFile | UnreadableEntry]:
    try:
        document.encode()
    except UnicodeEncodeError:
        yield UnreadableEntry(
            document.encode(errors="replace").decode(), "The file's name is not valid UTF-8: rename it."
        )
        return
    try:
        if not entry.is_file() or (entry.is_symlink() and not _inside(entry, root)):
            _log.debug("Skipped %s: neither a file nor a link to one in the folder", document)
            return
        status = entry.stat()
    except OSError as error:
        yield UnreadableEntry(document, f"The file cannot be looked at: {error.strerror}.")
        return
    yield FoundFile(Path(entry.path), document, status.st_size, status.st_mtime_ns, status.st_ino)


def _inside(entry: "os.DirEntry[str]", root: Path) -> bool:
    return Path(os.path.realpath(entry.path)).is_relative_to(root)


def _folder_error_sentence(folder: Path, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"The folder {folder} does not exist: create it, or name another in the config."
    if isinstance(error, NotADirectoryError):
        return f"{folder} is a file, not a folder: name the folder that holds it in the config."
    if isinstance(error, PermissionError):
        return f"The folder {folder} may not be read by this user: grant read access to it, or name another."
    return f"The folder {folder} cannot be read: {error.strerror}."
