"""Names the next step after the demo: a real model that fits this machine."""

import os
import sys
from pathlib import Path

import psutil

from bot.cli.terminal.output import format_size
from models.llama.native.libllama import ggml_library
from models.llama.plan.hardware import gpu_memory
from models.recommended import Recommendation, recommend_model


def next_step() -> str:
    """The advice for real answers on this machine; takes a moment until llama.cpp is loaded."""
    graphics = gpu_memory(ggml_library()).total_bytes
    return advice(recommend_model(psutil.virtual_memory().total, graphics), program_command())


def advice(recommended: Recommendation, hearth: str) -> str:
    """The advice for a recommendation; `hearth` is how the program is called here."""
    model = recommended.model
    where = "on its graphics card" if recommended.on_gpu else "on its processor"
    return (
        "The demo's model is a toy of 135 million parameters: it is there to show that all parts work, and it often "
        f"misreads what was found.\nA real model that fits this machine, {where}: {model.title}, "
        f"a download of {format_size(model.size_bytes)}. Next:\n\n"
        f"  {hearth} models get {model.weights.repository} {model.weights.file}\n"
    )


def program_command() -> str:
    """How to call this program from the current folder."""
    script = Path(sys.executable).parent / "hearth"
    if not script.exists():
        return f"{os.path.relpath(sys.executable)} -m bot"
    return os.path.relpath(script) if script.is_relative_to(Path.cwd()) else str(script)
