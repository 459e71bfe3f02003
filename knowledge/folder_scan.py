"""Folder scan: the files of a collection's folder."""

import logging
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import xxhash

from knowledge.globs import compile_globs, expand_braces, matches_any, names_file_kind
from knowledge.loaders import READABLE_SUFFIXES
from knowledge.reading.files import open_below

_log = logging.getLogger(__name__)
_JUNK = re.compile(
    r"\..*|~\$.*|.*~|.*\.(tmp|temp|swp|part|crdownload|bak)|thumbs\.db|desktop\.ini|__pycache__|node_modules"
    r"|@eadir|#recycle|#snapshot|\$recycle\.bin|system volume information|lost\+found",
    re.IGNORECASE,
)
"""Hidden files, leftovers of editors and downloads, and service folders of common NAS systems."""
_HASH_BLOCK_BYTES = 1 << 20
_LISTED_AT_ONCE = 200
"""Entries of a folder examined in one step: on a slow share each costs a round trip."""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file to index. `document` is its path below `folder`, with forward slashes.

    Size, time and inode cheaply suggest that a file is unchanged; only the content hash proves it.
    """

    folder: Path
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
    """The files of a folder, sorted by document. Documents below an unreadable folder are unknown.

    `left_out`: the number of files of each kind that is not read, by suffix (empty for none). `mounts`: the folders on
    which another file system is mounted, each with a slash at its end; the scanned folder itself is empty.
    """

    files: tuple[FoundFile, ...]
    unreadable: tuple[UnreadableEntry, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)
    mounts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ScanStep:
    """A part of a scan: what some entries of one folder turned out to be."""

    found: tuple[FoundFile | UnreadableEntry, ...] = ()
    left_out: tuple[str, ...] = ()
    mount: str | None = None


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
    return join_steps(scan_steps(folder, include, exclude))


def scan_steps(folder: Path, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> Iterator[ScanStep]:
    """A scan in steps of at most some hundred entries, so that a disk that has stopped answering is noticed."""
    root = Path(os.path.realpath(folder))
    path_filter = _PathFilter(include, exclude)
    waiting: list[tuple[str, int | None]] = [("", None)]
    while waiting:
        below, device_above = waiting.pop()
        try:
            device, folders, files = _list_folder(root / below)
        except OSError as error:
            if not below:
                raise FolderUnreadable(_folder_error_sentence(folder, error)) from error
            yield ScanStep((UnreadableEntry(below, f"The folder cannot be read: {error.strerror}."),))
            continue
        if device_above not in (None, device) or (not below and os.path.ismount(root)):
            yield ScanStep(mount=below)
        waiting += [(f"{below}{name}/", device) for name in folders if path_filter.includes_folder(below + name)]
        for start in range(0, len(files), _LISTED_AT_ONCE):
            yield _examine_entries(files[start : start + _LISTED_AT_ONCE], below, root, path_filter)


def join_steps(steps: Iterable[ScanStep]) -> FolderScan:
    """The whole scan."""
    found: list[FoundFile | UnreadableEntry] = []
    left_out: Counter[str] = Counter()
    mounts: set[str] = set()
    for step in steps:
        found += step.found
        left_out.update(step.left_out)
        if step.mount is not None:
            mounts.add(step.mount)
    found.sort(key=lambda item: item.document)
    files = tuple(item for item in found if isinstance(item, FoundFile))
    unreadable = tuple(item for item in found if isinstance(item, UnreadableEntry))
    return FolderScan(files, unreadable, dict(left_out.most_common()), frozenset(mounts))


def content_hash(folder: Path, document: str) -> str:
    """The xxh3-128 of a file's content as 32 hexadecimal digits: detects changes, does not resist forgery.

    Blocks on the disk; what is appended meanwhile is left to the next time. Raises OSError, FileUnreadable.
    """
    digest = xxhash.xxh3_128()
    with open_below(folder, document) as file:
        left = os.fstat(file.fileno()).st_size
        while block := file.read(min(left, _HASH_BLOCK_BYTES)):
            digest.update(block)
            left -= len(block)
    return digest.hexdigest()


class _PathFilter:
    """The include and exclude patterns of a collection."""

    def __init__(self, include: Iterable[str], exclude: Iterable[str]) -> None:
        patterns = [alternative for pattern in include for alternative in expand_braces(pattern)]
        self._any_kind = compile_globs(pattern for pattern in patterns if names_file_kind(pattern))
        self._known_kinds = compile_globs(pattern for pattern in patterns if not names_file_kind(pattern))
        self._everything = not patterns
        self._exclude = compile_globs(exclude)

    def includes_folder(self, document: str) -> bool:
        return not matches_any(self._exclude, document) and not matches_any(self._exclude, document + "/")

    def includes_file(self, document: str) -> bool:
        if matches_any(self._exclude, document):
            return False
        return matches_any(self._any_kind, document) or (_is_readable_kind(document) and self._takes_known(document))

    def leaves_out_kind(self, document: str) -> bool:
        """Whether a file is left out for its kind alone."""
        return (
            not _is_readable_kind(document)
            and self._takes_known(document)
            and not matches_any(self._exclude, document)
            and not matches_any(self._any_kind, document)
        )

    def _takes_known(self, document: str) -> bool:
        return self._everything or matches_any(self._known_kinds, document)


def _is_readable_kind(document: str) -> bool:
    return _suffix(document) in READABLE_SUFFIXES


def _suffix(document: str) -> str:
    return PurePosixPath(document).suffix.lower()


def _list_folder(folder: Path) -> tuple[int, list[str], list["os.DirEntry[str]"]]:
    """The device of a folder, the names of the folders in it, and its other entries, without junk."""
    with os.scandir(folder) as entries:
        kept = [entry for entry in entries if not _JUNK.fullmatch(entry.name)]
    folders = [entry.name for entry in kept if entry.is_dir(follow_symlinks=False)]
    return folder.stat().st_dev, folders, [entry for entry in kept if not entry.is_dir(follow_symlinks=False)]


def _examine_entries(
    entries: Iterable["os.DirEntry[str]"], below: str, root: Path, path_filter: _PathFilter
) -> ScanStep:
    found: list[FoundFile | UnreadableEntry] = []
    left_out: list[str] = []
    for entry in entries:
        document = below + entry.name
        if path_filter.includes_file(document):
            found += _stat_entry(entry, document, root)
        elif not entry.is_symlink() and path_filter.leaves_out_kind(document):
            left_out.append(_suffix(document))
    return ScanStep(tuple(found), tuple(left_out))


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
    yield FoundFile(root, document, status.st_size, status.st_mtime_ns, status.st_ino)


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
