"""Reader of GGUF headers, with bounds on every length: the model's architecture and its memory requirements."""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

KvType = Literal["f16", "q8_0", "q4_0"]

# Bytes and elements of a block, by ggml type number (ggml.h and ggml-common.h of llama.cpp).
_BLOCKS: Mapping[int, tuple[int, int]] = {
    **{0: (4, 1), 1: (2, 1), 30: (2, 1), 24: (1, 1), 25: (2, 1), 26: (4, 1), 27: (8, 1), 28: (8, 1)},
    **{2: (18, 32), 3: (20, 32), 6: (22, 32), 7: (24, 32), 8: (34, 32), 9: (36, 32), 20: (18, 32)},
    **{10: (84, 256), 11: (110, 256), 12: (144, 256), 13: (176, 256), 14: (210, 256), 15: (292, 256)},
    **{16: (66, 256), 17: (74, 256), 18: (98, 256), 19: (50, 256), 21: (110, 256), 22: (82, 256), 23: (136, 256)},
    **{29: (56, 256), 34: (54, 256), 35: (66, 256), 39: (17, 32)},
}
_KV_BYTES: Mapping[KvType, float] = {"f16": 2.0, "q8_0": 34 / 32, "q4_0": 18 / 32}
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9

_VOCABULARY = "tokenizer.ggml.tokens"

_MAX_ENTRIES = 1 << 16
_MAX_TENSORS = 1 << 18
_MAX_STRING_BYTES = 1 << 24
_MAX_ELEMENTS = 1 << 24
_MAX_KEPT_ELEMENTS = 4096
_MAX_DIMENSIONS = 4


@dataclass(eq=False)
class NotGguf(Exception):
    """The file is not a usable GGUF; `reason` is the end of a sentence that begins with the file's name."""

    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """Metadata of a GGUF file. `kv_width` is the number of K and V values of one token over all layers; `weight_types`
    are ggml's numbers for the types of its tensors.
    """

    architecture: str
    name: str
    size_bytes: int
    weights_bytes: int
    layers: int
    embedding_length: int
    heads: int
    vocabulary_size: int
    trained_context: int
    kv_width: int
    weight_types: frozenset[int]

    def kv_bytes(self, context_tokens: int, kv_type: KvType) -> int:
        """Bytes of the KV cache for a context; an upper bound for models with sliding windows or recurrent layers."""
        return math.ceil(self.kv_width * _KV_BYTES[kv_type] * context_tokens)

    def compute_bytes(self, batch_tokens: int, context_tokens: int) -> int:
        """Bytes of the compute buffers of a batch: for each token its attention to the context and 5 rows of the
        embedding, in float32; the logits of one token; another 8 MiB. An upper bound with flash attention; without it
        3 to 16 % above what llama.cpp allocates for models of 135 million and 1.5 billion parameters.
        """
        per_token_values = (self.heads + 1) * context_tokens + 5 * self.embedding_length
        return 4 * (batch_tokens * per_token_values + self.vocabulary_size) + (8 << 20)

    def memory_bytes(self, context_tokens: int, kv_type: KvType, batch_tokens: int = 256) -> int:
        """Bytes needed to run this model: weights, KV cache and compute buffers."""
        stored_bytes = self.weights_bytes + self.kv_bytes(context_tokens, kv_type)
        return stored_bytes + self.compute_bytes(batch_tokens, context_tokens)


def read_header(path: Path) -> GgufHeader:
    """Read the header of a GGUF file and check the size it states against the size of the file.

    Raises NotGguf for a file of another kind, damaged or cut off; OSError when it cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        reader = _Reader(file, size)
        try:
            tensor_count, entry_count = _read_preamble(reader)
            entries = dict(_read_entry(reader) for _ in range(entry_count))
            tensors = [_read_tensor(reader) for _ in range(tensor_count)]
        except (struct.error, UnicodeDecodeError, RecursionError) as error:
            raise NotGguf("has a damaged header") from error
        weights_bytes = _check_complete(entries, [end for end, _ in tensors], file.tell(), size)
    return _build_header(entries, size, weights_bytes, frozenset(kind for _, kind in tensors))


class _Reader:
    """Reads values in sequence, never past the end of the file."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size

    def read_bytes(self, count: int) -> bytes:
        data = self._file.read(count)
        if len(data) != count:
            raise NotGguf("ends in the middle of its header: the download was probably cut off")
        return data

    def skip_bytes(self, count: int) -> None:
        if self._file.tell() + count > self._size:
            raise NotGguf("ends in the middle of its header: the download was probably cut off")
        self._file.seek(count, 1)

    def read_number(self, code: str) -> int:
        value = struct.unpack("<" + code, self.read_bytes(struct.calcsize(code)))[0]
        return int(value)

    def read_count(self, limit: int) -> int:
        value = self.read_number("Q")
        if value > limit:
            raise NotGguf("has a damaged header")
        return value

    def read_text(self) -> str:
        return self.read_bytes(self.read_count(_MAX_STRING_BYTES)).decode("utf-8", errors="replace")


def _read_preamble(reader: _Reader) -> tuple[int, int]:
    if (magic := reader.read_bytes(4)) != b"GGUF":
        raise NotGguf(f"is not a GGUF file (it begins with {magic!r})")
    version = reader.read_number("I")
    if version not in (2, 3):
        raise NotGguf(f"has GGUF version {version}, and versions 2 and 3 are understood")
    return reader.read_count(_MAX_TENSORS), reader.read_count(_MAX_ENTRIES)


def _read_entry(reader: _Reader) -> tuple[str, object]:
    key = reader.read_text()
    if key == _VOCABULARY:
        return key, _read_vocabulary(reader)
    return key, _read_value(reader, reader.read_number("I"))


def _read_vocabulary(reader: _Reader) -> int:
    """The number of tokens. llama.cpp aborts the process when two are equal, as after a flipped bit."""
    if (reader.read_number("I"), reader.read_number("I")) != (_ARRAY, _STRING):
        raise NotGguf("has a damaged vocabulary")
    count = reader.read_count(_MAX_ELEMENTS)
    distinct = {reader.read_bytes(reader.read_count(_MAX_STRING_BYTES)) for _ in range(count)}
    if len(distinct) != count:
        raise NotGguf("has a damaged vocabulary")
    return count


def _read_value(reader: _Reader, kind: int) -> object:
    if kind == _STRING:
        return reader.read_text()
    if kind == _ARRAY:
        return _read_array(reader)
    if kind not in _SCALARS:
        raise NotGguf("has a damaged header")
    code = _SCALARS[kind]
    return struct.unpack("<" + code, reader.read_bytes(struct.calcsize(code)))[0]


def _read_array(reader: _Reader) -> object:
    """A short array of numbers as a tuple; for others (vocabularies) only the length."""
    kind = reader.read_number("I")
    count = reader.read_count(_MAX_ELEMENTS)
    if kind in _SCALARS:
        code = _SCALARS[kind]
        if count <= _MAX_KEPT_ELEMENTS:
            return struct.unpack(f"<{count}{code}", reader.read_bytes(count * struct.calcsize(code)))
        reader.skip_bytes(count * struct.calcsize(code))
    elif kind == _STRING:
        for _ in range(count):
            reader.skip_bytes(reader.read_count(_MAX_STRING_BYTES))
    else:
        raise NotGguf("has a damaged header")
    return count


def _read_tensor(reader: _Reader) -> tuple[int, int]:
    """The end of a tensor in bytes from the start of the data (its start if the type is unknown here), and its type."""
    reader.skip_bytes(reader.read_count(1 << 10))
    dimensions = reader.read_number("I")
    if not 0 <= dimensions <= _MAX_DIMENSIONS:
        raise NotGguf("has a damaged header")
    elements = math.prod(reader.read_number("Q") for _ in range(dimensions))
    kind = reader.read_number("I")
    offset = reader.read_number("Q")
    block_bytes, block_elements = _BLOCKS.get(kind, (0, 1))
    return offset + elements * block_bytes // block_elements, kind


def _check_complete(entries: Mapping[str, object], ends: list[int], header_bytes: int, size: int) -> int:
    """The bytes of all tensors. Raises NotGguf when the file is shorter than its header states."""
    if not ends:
        raise NotGguf("holds no weights")
    alignment = _integer(entries, "general.alignment", 32)
    if not 1 <= alignment <= 1 << 20:
        raise NotGguf("has a damaged header")
    weights = max(ends)
    expected_bytes = math.ceil(header_bytes / alignment) * alignment + weights
    if expected_bytes > size:
        raise NotGguf(f"should have {expected_bytes:,} bytes and has {size:,}: the download was probably cut off")
    return weights


def _build_header(entries: Mapping[str, object], size: int, weights_bytes: int, types: frozenset[int]) -> GgufHeader:
    architecture = entries.get("general.architecture")
    if not isinstance(architecture, str) or not architecture:
        raise NotGguf("does not name its architecture")
    name = entries.get("general.name")
    return GgufHeader(
        architecture=architecture,
        name=name if isinstance(name, str) else "",
        size_bytes=size,
        weights_bytes=weights_bytes,
        layers=_integer(entries, f"{architecture}.block_count", 0),
        embedding_length=_integer(entries, f"{architecture}.embedding_length", 0),
        heads=_largest(entries.get(f"{architecture}.attention.head_count", 0)),
        vocabulary_size=_integer(entries, _VOCABULARY, 0),
        trained_context=_integer(entries, f"{architecture}.context_length", 0),
        kv_width=_kv_width(entries, architecture),
        weight_types=types,
    )


def _kv_width(entries: Mapping[str, object], architecture: str) -> int:
    """KV heads of all layers, times the length of a K head plus that of a V head."""
    layers = _integer(entries, f"{architecture}.block_count", 0)
    heads = entries.get(f"{architecture}.attention.head_count", 0)
    kv_heads = entries.get(f"{architecture}.attention.head_count_kv", heads)
    head_length = _integer(entries, f"{architecture}.embedding_length", 0) // max(1, _largest(heads))
    key = _integer(entries, f"{architecture}.attention.key_length", head_length)
    value = _integer(entries, f"{architecture}.attention.value_length", head_length)
    all_kv_heads = (
        sum(_as_count(each) for each in kv_heads) if isinstance(kv_heads, tuple) else _as_count(kv_heads) * layers
    )
    return all_kv_heads * (key + value)


def _largest(value: object) -> int:
    """The largest of the numbers given per layer, or the one given for all layers."""
    return max(map(_as_count, value), default=0) if isinstance(value, tuple) else _as_count(value)


def _integer(entries: Mapping[str, object], key: str, default: int) -> int:
    return _as_count(entries.get(key, default))


def _as_count(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < 1 << 40 else 0
