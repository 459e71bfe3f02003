"""usearch, onnxruntime and llama.cpp in one process: the C++ library in usearch's wheel must not harm them."""

import subprocess
import sys
from itertools import permutations
from pathlib import Path

import pytest

USES = {
    "usearch": "from knowledge.vectors import VectorIndex; VectorIndex(8)",
    "onnxruntime": "import onnxruntime; onnxruntime.InferenceSession(sys.argv[1])",
    "llama": "from llama_cpp import Llama; Llama(sys.argv[2], vocab_only=True, verbose=False).tokenize(b'disk')",
}


@pytest.mark.parametrize("order", list(permutations(USES)), ids=" ".join)
def test_native_libraries_work_in_any_order(
    order: tuple[str, ...], embedding_files: Path, chat_model_path: Path
) -> None:
    script = "\n".join(["import sys", *(USES[name] for name in order), "print('all work')"])
    done = subprocess.run(
        [sys.executable, "-c", script, embedding_files / "model.onnx", chat_model_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["all work"]), done.stderr[-2000:]
