"""Common ground of ONNX models that fastembed runs: their errors, their files, and the memory that loading leaves."""

import ctypes
import json
import os
from pathlib import Path

import xxhash


def prepare_onnx() -> None:
    """Must be called before fastembed is imported: onnxruntime otherwise sends telemetry."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def usable_cores() -> int:
    """The number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def onnx_errors() -> tuple[type[Exception], ...]:
    """Errors of loading and running a model; onnxruntime's have no common base below Exception."""
    from onnxruntime.capi import onnxruntime_pybind11_state as onnx  # type: ignore[import-untyped]

    return (
        OSError,
        RuntimeError,
        ValueError,
        onnx.EPFail,
        onnx.Fail,
        onnx.InvalidArgument,
        onnx.InvalidGraph,
        onnx.InvalidProtobuf,
        onnx.NoModel,
        onnx.NoSuchFile,
        onnx.NotImplemented,
        onnx.RuntimeException,
    )


def check_tokenizer(folder: Path) -> None:
    """Parse a tokenizer file before its library does, which raises a bare Exception for a broken one.

    Raises OSError and ValueError.
    """
    json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))


def find_model_file(folder: Path | None) -> str:
    """The name of the only ONNX file in a folder; `model.onnx` where there are none or several."""
    names = sorted(path.name for path in folder.glob("*.onnx")) if folder else []
    return names[0] if len(names) == 1 else "model.onnx"


def read_dimension(folder: Path) -> int | None:
    """The length of the vectors that a folder's `config.json` states; None where it states none."""
    try:
        found = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("hidden_size")
    except (OSError, ValueError, AttributeError):
        return None
    return found if isinstance(found, int) and found > 0 else None


def known_dimension(model: str) -> int | None:
    """The length of the vectors of a model that fastembed knows by name; None for others. Imports fastembed."""
    prepare_onnx()
    from fastembed import TextEmbedding

    try:
        return int(TextEmbedding.get_embedding_size(model))
    except ValueError:
        return None


def hash_file(path: Path) -> bytes:
    """The xxh3 hash of a file. Raises OSError."""
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.digest()


def return_free_memory() -> None:
    """Make glibc return freed memory: loading a model of 23 MB leaves 60 MB of it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
