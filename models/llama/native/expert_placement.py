"""Placement of a mixture's experts in main memory while the rest of the model is on the GPU."""

import ctypes
from typing import Any

from models.llama.native.libllama import ggml_library

_EXPERTS = rb"\.ffn_(up|down|gate|gate_up)_(ch|)exps"
"""Names of the tensors of experts, as a regular expression; llama.cpp's own `--cpu-moe` has the same."""


class _BufferOverride(ctypes.Structure):
    """llama_model_tensor_buft_override."""

    _fields_ = (("pattern", ctypes.c_char_p), ("buffer_type", ctypes.c_void_p))


def expert_overrides() -> Any:
    """The list for `llama_model_params.tensor_buft_overrides`, which ends with an empty entry; keep it until loaded."""
    buffer_type = ggml_library().ggml_backend_cpu_buffer_type
    buffer_type.restype = ctypes.c_void_p
    return (_BufferOverride * 2)(_BufferOverride(_EXPERTS, buffer_type()), _BufferOverride(None, None))
