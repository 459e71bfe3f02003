"""Vocabularies of a few hundred tokens, one of each kind that llama.cpp tokenizes in its own way."""

from collections.abc import Sequence
from dataclasses import dataclass, field

Value = int | float | str | Sequence[str] | Sequence[int] | Sequence[float]

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6  # llama_token_type
MARKS = ("<|im_start|>", "<|im_end|>")
KINDS = ("spm", "bpe", "gemma4", "wpm", "ugm", "rwkv", "plamo2")
"""llama_vocab_type without NONE and TEST, and the byte pairs of Gemma 4, which escape spaces."""


@dataclass(frozen=True)
class Vocabulary:
    """Tokens with their types, and the further fields of the header. The last two tokens begin and end a turn."""

    tokens: list[str]
    types: list[int]
    fields: dict[str, Value] = field(default_factory=dict)

    def header(self) -> dict[str, Value]:
        """The fields of the header, named as in GGUF."""
        named: dict[str, Value] = {
            "tokens": self.tokens,
            "token_type": self.types,
            "bos_token_id": len(self.tokens) - 2,
            "eos_token_id": len(self.tokens) - 1,
            **self.fields,
        }
        return {f"tokenizer.ggml.{name}": value for name, value in named.items()}


def byte_pairs(pre: str = "default", user_defined: Sequence[str] = (), marks: Sequence[str] = MARKS) -> Vocabulary:
    """GPT-2's letters for bytes. `pre` names the rule for splitting text into words; `user_defined` are further tokens,
    or delimiters of turns, whose type is user-defined.
    """
    others = [token for token in user_defined if token not in marks]
    tokens = [*byte_letters(), *others, *marks]
    types = [USER_DEFINED if token in user_defined else NORMAL for token in tokens]
    types[len(tokens) - len(marks) :] = [USER_DEFINED if mark in user_defined else CONTROL for mark in marks]
    return Vocabulary(tokens, types, {"model": "gpt2", "merges": ["a b"], "pre": pre})


def make_vocabulary(kind: str, marks: Sequence[str] = MARKS) -> Vocabulary:
    """A vocabulary of one of `KINDS`, with control tokens for the marks of turns."""
    if kind == "bpe":
        return byte_pairs(marks=marks)
    plain, types, fields = {
        "spm": _pieces,
        "gemma4": _gemma_pieces,
        "wpm": _word_pieces,
        "ugm": _unigrams,
        "rwkv": _raw_bytes,
        "plamo2": _plamo,
    }[kind]()
    tokens = [*plain, *marks]
    scored = {"scores": [-float(rank) for rank in range(len(tokens))]} if kind in ("spm", "ugm", "plamo2") else {}
    return Vocabulary(tokens, [*types, *[CONTROL] * len(marks)], {**fields, **scored})


_Part = tuple[list[str], list[int], dict[str, Value]]
_LETTERS = [chr(code) for code in range(33, 127)]
_BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def _pieces() -> _Part:
    words = ["▁", *_LETTERS, "▁t", "he"]
    tokens = ["<unk>", *_BYTES, *words]
    return tokens, [UNKNOWN, *[BYTE] * 256, *[NORMAL] * len(words)], {"model": "llama", "unknown_token_id": 0}


def _gemma_pieces() -> _Part:
    words = ["▁", *_LETTERS, "\n"]
    tokens = ["<unk>", *_BYTES, *words]
    types = [UNKNOWN, *[BYTE] * 256, *[NORMAL] * len(words)]
    return tokens, types, {"model": "gemma4", "merges": ["a b"], "unknown_token_id": 0}


def _word_pieces() -> _Part:
    letters = [letter for letter in _LETTERS if not letter.isupper()]
    words = [*(f"▁{letter}" for letter in letters), *letters, "▁"]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    fields: dict[str, Value] = {
        "model": "bert",
        "padding_token_id": 0,
        "unknown_token_id": 1,
        "seperator_token_id": 3,
        "mask_token_id": 4,
    }
    return [*special, *words], [CONTROL, UNKNOWN, CONTROL, CONTROL, CONTROL, *[NORMAL] * len(words)], fields


def _unigrams() -> _Part:
    words = ["▁", *_LETTERS, "▁t", "he"]
    fields: dict[str, Value] = {"model": "t5", "pre": "default", "unknown_token_id": 2, "padding_token_id": 0}
    return ["<pad>", "</s>", "<unk>", *words], [CONTROL, CONTROL, UNKNOWN, *[NORMAL] * len(words)], fields


def _raw_bytes() -> _Part:
    words = [f"\\x{byte:02x}" for byte in range(256)]
    return ["<s>", *words, "the"], [CONTROL, *[NORMAL] * 257], {"model": "rwkv"}


def _plamo() -> _Part:
    words = [*_LETTERS, " ", "the"]
    tokens = ["<|plamo:unk|>", *_BYTES, *words]
    return tokens, [UNKNOWN, *[BYTE] * 256, *[NORMAL] * len(words)], {"model": "plamo2", "unknown_token_id": 0}


def byte_letters() -> list[str]:
    """The letter that stands for each byte in a vocabulary of byte pairs (GPT-2's)."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return [chr(byte if byte in shown else 256 + hidden.index(byte)) for byte in range(256)]
