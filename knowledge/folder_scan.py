"""Folder scan: the files of a collection's folder, and what is left out of it."""

import logging
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import xxhash

from knowledge.globs import compile_globs, expand_braces, matches_any, names_file_kind
from knowledge.junk_rules import DEFAULT_JUNK, JunkRules
from knowledge.loaders import READABLE_SUFFIXES
from knowledge.passages import LeftOutCause
from knowledge.reading.files import open_below

_log = logging.getLogger(__name__)
_HASH_BLOCK_BYTES = 1 << 20
_LISTED_AT_ONCE = 200
"""Entries of a folder examined in one step: on a slow share each costs a round trip."""
_LINKS_NAMED = 50
"""Links left out by name; the others are only counted."""


class LeftOutName(NamedTuple):
    """The cause why entries were left out, and what they have in common (see `knowledge.passages.LeftOut`)."""

    cause: LeftOutCause
    name: str = ""


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

    `left_out`: the number of entries that are not read, by cause and name, the most frequent first. `mounts`: the
    folders on which another file system is mounted, each with a slash at its end; the scanned folder itself is empty.
    """

    files: tuple[FoundFile, ...]
    unreadable: tuple[UnreadableEntry, ...]
    left_out: Mapping[LeftOutName, int] = field(default_factory=dict)
    mounts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ScanStep:
    """A part of a scan: what some entries of one folder turned out to be."""

    found: tuple[FoundFile | UnreadableEntry, ...] = ()
    left_out: tuple[LeftOutName, ...] = ()
    mount: str | None = None


@dataclass(eq=False)
class FolderUnreadable(Exception):
    """A collection's folder cannot be read at all; `reason` is a sentence."""

    user_facing = True
    reason: str

    def __str__(self) -> str:
        return self.reason


def scan_folder(
    folder: Path, include: Sequence[str] = (), exclude: Sequence[str] = (), junk: Sequence[str] = DEFAULT_JUNK
) -> FolderScan:
    """The files below a folder that match `include` (none: every kind that can be read) and neither `exclude` nor
    `junk`; a file in place of a folder is itself the only one, whatever its kind.

    Linked folders are left out, and linked files unless their target is in the folder too. Blocks on the disk. Raises
    FolderUnreadable.
    """
    return join_steps(scan_steps(folder, include, exclude, junk))


def scan_steps(
    folder: Path, include: Sequence[str] = (), exclude: Sequence[str] = (), junk: Sequence[str] = DEFAULT_JUNK
) -> Iterator[ScanStep]:
    """A scan in steps of at most some hundred entries, so that a disk that has stopped answering is noticed."""
    root = Path(os.path.realpath(folder))
    try:
        status = root.stat()
    except OSError as error:
        raise FolderUnreadable(_folder_error_sentence(folder, error)) from error
    if stat.S_ISREG(status.st_mode):
        yield ScanStep((FoundFile(root.parent, root.name, status.st_size, status.st_mtime_ns, status.st_ino),))
    else:
        yield from _FolderWalk(folder, root, include, exclude, junk).steps()


def join_steps(steps: Iterable[ScanStep]) -> FolderScan:
    """The whole scan."""
    found: list[FoundFile | UnreadableEntry] = []
    left_out: Counter[LeftOutName] = Counter()
    mounts: set[str] = set()
    for step in steps:
        found += step.found
        left_out.update(_named_links(left_out, step.left_out))
        if step.mount is not None:
            mounts.add(step.mount)
    found.sort(key=lambda item: item.document)
    files = tuple(item for item in found if isinstance(item, FoundFile))
    unreadable = tuple(item for item in found if isinstance(item, UnreadableEntry))
    return FolderScan(files, unreadable, dict(left_out.most_common()), frozenset(mounts))


def content_hash(folder: Path, document: str, start: int = 0) -> str:
    """The xxh3-128 of a file's content from `start` as 32 hexadecimal digits: detects changes, resists no forgery.

    Blocks on the disk; what is appended meanwhile is left to the next time. Raises OSError, FileUnreadable.
    """
    digest = xxhash.xxh3_128()
    with open_below(folder, document) as file:
        left = os.fstat(file.fileno()).st_size - start
        file.seek(start)
        while left > 0 and (block := file.read(min(left, _HASH_BLOCK_BYTES))):
            digest.update(block)
            left -= len(block)
    return digest.hexdigest()


class PathFilter:
    """The include and exclude patterns of a collection. Raises GlobInvalid."""

    def __init__(self, include: Iterable[str], exclude: Iterable[str]) -> None:
        patterns = [alternative for pattern in include for alternative in expand_braces(pattern)]
        self._any_kind = compile_globs(pattern for pattern in patterns if names_file_kind(pattern))
        self._known_kinds = compile_globs(pattern for pattern in patterns if not names_file_kind(pattern))
        self._everything = not patterns
        self._exclude = compile_globs(exclude)

    def includes_folder(self, document: str) -> bool:
        """Whether no pattern excludes a folder with all that is in it."""
        return not matches_any(self._exclude, document) and not matches_any(self._exclude, document + "/")

    def includes_file(self, document: str) -> bool:
        """Whether a file is a document by its path; junk is not known here."""
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


class _FolderWalk:
    """The walk through one folder."""

    def __init__(
        self, folder: Path, root: Path, include: Sequence[str], exclude: Sequence[str], junk: Sequence[str]
    ) -> None:
        self._folder = folder
        self._root = root
        self._filter = PathFilter(include, exclude)
        self._junk = JunkRules(junk)

    def steps(self) -> Iterator[ScanStep]:
        """The steps, folder by folder."""
        waiting: list[tuple[str, int | None]] = [("", None)]
        while waiting:
            below, device_above = waiting.pop()
            try:
                device, folders, files = _list_folder(self._root / below)
            except OSError as error:
                if not below:
                    raise FolderUnreadable(_folder_error_sentence(self._folder, error)) from error
                yield ScanStep((UnreadableEntry(below, f"The folder cannot be read: {error.strerror}."),))
                continue
            if device_above not in (None, device) or (not below and os.path.ismount(self._root)):
                yield ScanStep(mount=below)
            rules = {name: self._junk.find_rule(below, name, is_folder=True) for name in folders}
            if junk := tuple(LeftOutName("junk", rule) for rule in rules.values() if rule):
                yield ScanStep(left_out=junk)
            waiting += [
                (f"{below}{name}/", device)
                for name, rule in rules.items()
                if not rule and self._filter.includes_folder(below + name)
            ]
            for start in range(0, len(files), _LISTED_AT_ONCE):
                yield self._examine_entries(files[start : start + _LISTED_AT_ONCE], below)

    def _examine_entries(self, entries: Iterable["os.DirEntry[str]"], below: str) -> ScanStep:
        found: list[FoundFile | UnreadableEntry] = []
        left_out: list[LeftOutName] = []
        for entry in entries:
            item = self._examine_entry(entry, below)
            if isinstance(item, LeftOutName):
                left_out.append(item)
            elif item is not None:
                found.append(item)
        return ScanStep(tuple(found), tuple(left_out))

    def _examine_entry(self, entry: "os.DirEntry[str]", below: str) -> FoundFile | UnreadableEntry | LeftOutName | None:
        if rule := self._junk.find_rule(below, entry.name, is_folder=False):
            return LeftOutName("junk", rule)
        document = below + entry.name
        if entry.is_symlink() and _leads_to_folder(entry):
            is_missed = self._filter.includes_folder(document) and not _inside(entry, self._root)
            return LeftOutName("link", _valid_name(document) + "/") if is_missed else None
        if self._filter.includes_file(document):
            return _stat_entry(entry, document, self._root)
        is_kind_left_out = not entry.is_symlink() and self._filter.leaves_out_kind(document)
        return LeftOutName("kind", _suffix(document)) if is_kind_left_out else None


def _list_folder(folder: Path) -> tuple[int, list[str], list["os.DirEntry[str]"]]:
    """The device of a folder, the names of the folders in it, and its other entries."""
    with os.scandir(folder) as listed:
        entries = list(listed)
    folders = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    return folder.stat().st_dev, folders, [entry for entry in entries if not entry.is_dir(follow_symlinks=False)]


def _stat_entry(entry: "os.DirEntry[str]", document: str, root: Path) -> FoundFile | UnreadableEntry | LeftOutName:
    if _valid_name(document) != document:
        return UnreadableEntry(_valid_name(document), "The file's name is not valid UTF-8: rename it.")
    try:
        if entry.is_symlink() and not (entry.is_file() and _inside(entry, root)):
            return LeftOutName("link", document)
        if not entry.is_file():
            return LeftOutName("special")
        status = entry.stat()
    except OSError as error:
        return UnreadableEntry(document, f"The file cannot be looked at: {error.strerror}.")
    return FoundFile(root, document, status.st_size, status.st_mtime_ns, status.st_ino)


def _named_links(known: Mapping[LeftOutName, int], found: Iterable[LeftOutName]) -> Iterator[LeftOutName]:
    """The entries left out, with the names of the first links only: some folders hold thousands."""
    named = sum(1 for each in known if each.cause == "link")
    for each in found:
        named += each.cause == "link"
        yield each if each.cause != "link" or named <= _LINKS_NAMED else LeftOutName("link")


def _leads_to_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a loop, for example
        return False


def _valid_name(document: str) -> str:
    """The document with a question mark in place of each byte that is no UTF-8."""
    return document.encode(errors="replace").decode()


def _inside(entry: "os.DirEntry[str]", root: Path) -> bool:
    return Path(os.path.realpath(entry.path)).is_relative_to(root)


def _folder_error_sentence(folder: Path, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"The folder {folder} does not exist: create it, or name another in the config."
    if isinstance(error, NotADirectoryError):
        return f"{folder} is neither a folder nor a file: name another in the config."
    if isinstance(error, PermissionError):
        return f"The folder {folder} may not be read by this user: grant read access to it, or name another."
    return f"The folder {folder} cannot be read: {error.strerror}."
