"""Chat templates of the families that llama.cpp knows, for models without a template of their own that works."""

import ctypes
from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

from models.engine import ReasoningEffort
from models.llama.native.libllama import llama_library

Message = dict[str, Any]

_BYTES_PER_MESSAGE = 512
# The family of a vocabulary by tokens that delimit its turns, the most telling first.
_FAMILY_OF_TOKENS = (
    (("<|channel|>", "<|start|>"), "gpt-oss"),
    (("<|im_start|>", "<|im_sep|>"), "phi4"),
    (("<|im_start|>",), "chatml"),
    (("<|start_header_id|>",), "llama3"),
    (("<|header_start|>",), "llama4"),
    (("<start_of_turn>",), "gemma"),
    (("<|START_OF_TURN_TOKEN|>",), "command-r"),
    (("<|start_of_role|>",), "granite"),
    (("[gMASK]", "<|user|>"), "chatglm4"),
    (("<|end|>", "<|user|>"), "phi3"),
    (("[SYSTEM_PROMPT]",), "mistral-v7"),
    (("[INST]",), "mistral-v3"),
)


class BuiltinTemplate:
    """A template of llama.cpp: one of its families, or the one that it recognises in the text of a template."""

    def __init__(self, name: str) -> None:
        """`name` is that of a family, or the text of a template. Raises ValueError when it is not recognised."""
        self._name = name.encode()
        self.render([{"role": "user", "content": "A"}])

    def render(
        self,
        messages: Sequence[Message],
        is_thinking: bool = False,
        effort: ReasoningEffort | None = None,
        tools: Sequence[Message] = (),
    ) -> str:
        """The prompt up to the start of the reply; nothing in it depends on thinking or tools. Raises ValueError."""
        del is_thinking, effort, tools
        llama_cpp = llama_library()
        # llama.cpp takes texts up to the first NUL.
        contents = [str(each["content"]).replace("\0", "").encode(errors="replace") for each in messages]
        turns = [(each["role"].encode(), content) for each, content in zip(messages, contents, strict=True)]
        chat = (llama_cpp.llama_chat_message * len(turns))(*(llama_cpp.llama_chat_message(*turn) for turn in turns))
        capacity = 2 * sum(len(text) + _BYTES_PER_MESSAGE for _, text in turns)
        for _ in range(2):
            buffer = ctypes.create_string_buffer(capacity)
            length = llama_cpp.llama_chat_apply_template(self._name, chat, len(turns), True, buffer, capacity)
            if length < 0:
                raise ValueError("llama.cpp does not recognise the template")
            if length <= capacity:
                break
            capacity = length
        return buffer.raw[:length].decode(errors="replace")


@cache
def builtin_families() -> tuple[str, ...]:
    """The names of llama.cpp's families of templates."""
    llama_cpp = llama_library()
    count = llama_cpp.llama_chat_builtin_templates(None, 0)
    names = (ctypes.c_char_p * count)()
    llama_cpp.llama_chat_builtin_templates(names, count)
    return tuple(sorted(name.decode() for name in names))


def family_of_vocabulary(special_tokens: Collection[str]) -> str:
    """The family whose delimiters are in a vocabulary; ChatML, the most common one, when none is known."""
    return next(
        (family for tokens, family in _FAMILY_OF_TOKENS if all(token in special_tokens for token in tokens)), "chatml"
    )
