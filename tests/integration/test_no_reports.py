"""Nothing is reported to the makers of the libraries: onnxruntime begins with a file of its session."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys
from pathlib import Path
from knowledge.embedding import build_embedder
from knowledge.settings import EmbeddingSettings

folder = Path(sys.argv[1])
print(build_embedder(EmbeddingSettings(), folder, folder).embed_question("Where is the drive?").shape)
"""


def test_embedding_leaves_no_trace_of_a_report(embedding_files: Path, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.endswith("DISABLE_TELEMETRY")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, embedding_files],
        env={**environment, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "(384,)", done.stderr
    assert list(tmp_path.iterdir()) == []
