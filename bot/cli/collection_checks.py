"""Checks of `hearth doctor` on the document collections: folders, patterns, and readers."""

import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from adapters.platform import Check
from bot.config.schema import Config
from bot.core.index_report import left_out_lines
from bot.core.messages import EVERYONE
from bot.platforms import load_platforms
from knowledge.folder_scan import FolderScan, FolderUnreadable, scan_folder
from knowledge.globs import compile_globs, matches_any
from knowledge.junk_rules import DEFAULT_JUNK
from knowledge.passages import LeftOut
from knowledge.settings import CollectionSettings

SCAN_TIMEOUT_S = 30.0
"""Longer than a home's folders take; a share whose server is gone never answers."""


def check_collections(config: Config) -> Iterator[Check]:
    """Checks of the collections: readable documents in the folder of each, and people among its readers."""
    for name, collection in config.knowledge.collections.items():
        yield _check_folder(f"collection.{name}", collection, config.knowledge.junk)
        if sentence := unread_sentence(collection.readers, config):
            yield Check(f"collection.{name}.readers", "warning", sentence)
    if not config.knowledge.collections:
        yield Check("collections", "warning", "No documents are configured: knowledge.collections is empty.")


def _check_folder(check: str, collection: CollectionSettings, junk: Sequence[str]) -> Check:
    folder = collection.folder
    if folder.is_file():
        return Check(check, "ok", f"It is the single file {folder}.", {"files": 1, "unreadable": 0})
    if not folder.is_dir():
        return Check(check, "problem", f"Its folder {folder} does not exist.")
    if not os.access(folder, os.R_OK | os.X_OK):
        return Check(check, "problem", f"Its folder {folder} cannot be read by this user.")
    try:
        found = scan_in_time(collection, junk=junk)
    except (FolderUnreadable, TimeoutError) as error:
        return Check(check, "problem", str(error))
    return _check_files(check, collection, found)


def _check_files(check: str, collection: CollectionSettings, found: FolderScan) -> Check:
    folder, documents = collection.folder, [file.document for file in found.files]
    excluded = compile_globs(collection.exclude)
    count = sum(not any(matches_any(excluded, path) for path in paths_of(document)) for document in documents)
    figures = {"files": count, "unreadable": len(found.unreadable), "left_out": sum(found.left_out.values())}
    left_out = _left_out_note(check, found)
    if idle := idle_patterns(collection.include, documents):
        return Check(check, "warning", f"These patterns of `include` match no file in {folder}: {idle}.", figures)
    if not count:
        kinds = "Markdown, text, HTML, PDF, office documents, mail, tables, calendars or source code"
        return Check(
            check, "warning", f"Its folder {folder} holds no file that Hearth can read ({kinds}).{left_out}", figures
        )
    if found.unreadable:
        entry = found.unreadable[0]
        sentence = f"In {folder}, {len(found.unreadable)} entries cannot be read, such as {entry.document}"
        return Check(check, "warning", f"{sentence}: {entry.reason}{left_out}", figures)
    excluding = idle_patterns(collection.exclude, documents)
    note = f" These patterns exclude nothing now: {excluding}." if excluding else ""
    files = "one file" if count == 1 else f"{count} files"
    return Check(check, "ok", f"Its folder {folder} holds {files} that can be read.{note}{left_out}", figures)


def _left_out_note(check: str, found: FolderScan) -> str:
    name = check.partition(".")[2]
    left_out = (LeftOut(name, entry.cause, entry.name, count) for entry, count in found.left_out.items())
    return "".join(f" {line}" for line in left_out_lines(left_out, "en"))


def scan_in_time(
    collection: CollectionSettings, timeout_s: float = SCAN_TIMEOUT_S, junk: Sequence[str] = DEFAULT_JUNK
) -> FolderScan:
    """The files of a folder before any is excluded. Raises FolderUnreadable, and TimeoutError with a sentence."""
    outcome: list[FolderScan | FolderUnreadable] = []

    def scan() -> None:
        try:
            outcome.append(scan_folder(collection.folder, collection.include, junk=junk))
        except FolderUnreadable as error:
            outcome.append(error)

    # A daemon thread, because nothing wakes one that waits for a dead share.
    thread = threading.Thread(target=scan, name="doctor-scan", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if not outcome:
        raise TimeoutError(f"Its folder {collection.folder} has not answered for {timeout_s:g} s: is its disk there?")
    if isinstance(outcome[0], FolderUnreadable):
        raise outcome[0]
    return outcome[0]


def paths_of(document: str) -> list[str]:
    """The path of a document and those of the folders above it, with and without a slash at the end."""
    parents = PurePosixPath(document).parents
    return [document, *(f"{parent}{end}" for parent in parents for end in ("", "/"))]


def idle_patterns(patterns: tuple[str, ...], documents: list[str]) -> str:
    """The patterns that match none of the documents, nor a folder above one, as text."""
    paths = {path for document in documents for path in paths_of(document)}
    idle = [each for each in patterns if not any(matches_any(compile_globs([each]), path) for path in paths)]
    return ", ".join(f"`{each}`" for each in idle)


def unread_sentence(readers: tuple[str, ...], config: Config) -> str:
    """Why no reader of a collection can ask now; empty when one can."""
    if not readers:
        return "Nobody may read it: its `readers` are empty."
    enabled = {each.name for each in config.enabled_platforms()} | {load_platforms().local_chat.name, EVERYONE}
    if config.http.enabled and config.http.openai.enabled:
        enabled.add("api")
    owners = {reader.partition(":")[0] for reader in readers}
    if owners & enabled:
        return ""
    return f"Nobody can ask about it now: its readers are on {', '.join(sorted(owners))}, which is switched off."
