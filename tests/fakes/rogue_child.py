"""A reading process whose parser does what the file's name says: crash, hang, eat, and tell what it may do."""

import ctypes
import json
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from knowledge.loaders.types import LoadLimits, RawFile
from knowledge.reader import FileUnreadable
from knowledge.reading.child import serve_requests
from knowledge.reading.frames import DocumentStart, DraftBatch, DraftFrame
from knowledge.reading.pipeline import read_frames

seen: list[str] = []


def abort() -> None:
    os.abort()


def tire() -> None:
    if len(seen) > 1:
        os.abort()


def leave() -> None:
    os._exit(7)


def fail() -> None:
    raise AssertionError("secret content")


def hang() -> None:
    time.sleep(1000)


def spin() -> None:
    while True:
        pass


def eat() -> None:
    eaten = [bytearray(10_000_000)]
    while True:
        eaten.append(bytearray(10_000_000))


def chatter() -> None:
    os.write(1, b"a library that prints")
    print("another", flush=True)


def write() -> None:
    try:
        with Path("/tmp/hearth-reading-wrote").open("wb") as file:
            file.write(b"x" * 100)
    except OSError as error:
        raise FileUnreadable(f"writing failed: {error.strerror}") from error
    finally:
        Path("/tmp/hearth-reading-wrote").unlink(missing_ok=True)


def call() -> None:
    with socket.create_connection(("127.0.0.1", 9), timeout=1):
        pass


def call_natively() -> None:
    ctypes.CDLL(None).socket(socket.AF_INET, socket.SOCK_STREAM, 0)


def launch() -> None:
    subprocess.run(["/bin/true"], check=True)


def told() -> str:
    limits = {name: resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))[0] for name in ("CORE", "FSIZE", "NOFILE")}
    about = {"pid": os.getpid(), "environment": dict(os.environ), "modules": sorted(sys.modules), "limits": limits}
    return json.dumps(about)


DEEDS: dict[str, Callable[[], None]] = {
    deed.__name__: deed
    for deed in (abort, tire, leave, fail, hang, spin, eat, chatter, write, call, call_natively, launch)
}


def rogue(raw: RawFile, limits: LoadLimits, passage_characters: int) -> Iterator[DocumentStart | DraftBatch]:
    seen.append(raw.name)
    name = Path(raw.name).stem
    if name == "lie":
        yield DraftBatch(drafts=[DraftFrame(heading=[], start=0, end=24, text="a passage of no document")])
    if name == "flood":
        yield DocumentStart(title="flood", language="")
        while True:
            yield DraftBatch(drafts=[DraftFrame(heading=[], start=0, end=20_000, text="x" * 20_000)] * 3)
    if name == "tell":
        yield DocumentStart(title="about", language="")
        yield DraftBatch(drafts=[DraftFrame(heading=[], start=0, end=1, text=told())])
        return
    if name in DEEDS:
        DEEDS[name]()
    yield from read_frames(raw, limits, passage_characters)


if __name__ == "__main__":
    serve_requests(rogue)
