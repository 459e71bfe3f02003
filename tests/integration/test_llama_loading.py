"""Models in several files, with less memory than planned, and with experts apart."""

import ctypes
import json
import subprocess
import sys
from pathlib import Path

import pytest

from models.engine import Prompt, Sampling
from models.llama.engine import LlamaEngine
from models.llama.native.expert_placement import expert_overrides
from models.llama.native.libllama import llama_library
from models.llama.settings import LlamaSettings
from tests.fakes.split_gguf import split_model
from tests.fakes.tiny_gguf import write_tiny_model

_SETTINGS = LlamaSettings(parallel=1, context_tokens=512, threads=1)

# Loads a model in a process with a limit of its address space, and prints the parallel replies and the log.
_STARVED = """
import json, logging, resource, sys
from pathlib import Path
from models.llama.loading.loader import load_model
from models.llama.native.libllama import llama_library
from models.llama.settings import LlamaSettings

llama_library()
lines = []
handler = logging.Handler()
handler.emit = lambda record: lines.append(record.getMessage())
logging.getLogger("models").addHandler(handler)
pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
settings = LlamaSettings(context_tokens=65536, threads=1, check_memory=False, batch_tokens=32)
loaded = load_model(Path(sys.argv[1]), settings, lambda fraction: True)
print(json.dumps([loaded.memory_plan.parallel, loaded.context.sequence_count, lines]))
"""


async def _answer(path: Path, folder: Path | None = None) -> str:
    engine = await LlamaEngine.load(path, _SETTINGS, snapshot_folder=folder)
    try:
        prompt = Prompt("You know where everything is.", (), "Where is the key?")
        items = [item async for item in engine.stream(prompt, "room", Sampling(temperature=0, max_tokens=12))]
        return "".join(item for item in items if isinstance(item, str))
    finally:
        await engine.close()


async def test_a_split_model_answers_as_the_whole_one(tmp_path: Path) -> None:
    whole = await _answer(write_tiny_model(tmp_path / "tiny.gguf", "attention"))
    first, *_ = split_model(tmp_path / "tiny.gguf", 3)
    assert await _answer(first) == whole


async def test_states_of_a_split_model_are_dropped_when_another_part_changes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_tiny_model(tmp_path / "tiny.gguf", "attention")
    first, *_, last = split_model(tmp_path / "tiny.gguf", 2)
    await _answer(first, tmp_path / "parked")
    content = bytearray(last.read_bytes())
    content[-8] ^= 1
    last.write_bytes(content)
    with caplog.at_level("INFO"):
        await _answer(first, tmp_path / "parked")
    assert "another model" in caplog.text


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="limits of memory are set by Linux")
def test_a_failed_allocation_is_tried_again_with_fewer_replies_and_told(tmp_path: Path) -> None:
    path = write_tiny_model(tmp_path / "tiny.gguf", "attention", context_tokens=65536)
    # The cache of one reply has 33 MB here, that of eight 268 MB.
    command = [sys.executable, "-c", _STARVED, str(path), str(200 << 20)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    parallel, sequences, lines = json.loads(done.stdout.splitlines()[-1])
    assert 1 <= parallel == sequences < 8
    told = [line for line in lines if "Trying" in line]
    assert "llama.cpp says:" in told[0]
    assert f"Trying {parallel} answers at a time" in told[-1]


def test_experts_apart_are_placed_by_llama_cpp(tmp_path: Path) -> None:
    """A model without experts loads with the list as without it, so the structure is the one llama.cpp expects."""
    llama_cpp = llama_library()
    path = write_tiny_model(tmp_path / "tiny.gguf", "attention")
    params = llama_cpp.llama_model_default_params()
    overrides = expert_overrides()
    params.tensor_buft_overrides = ctypes.addressof(overrides)
    handle = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
    assert handle
    llama_cpp.llama_model_free(handle)
