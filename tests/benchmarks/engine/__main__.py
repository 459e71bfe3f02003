"""`python -m tests.benchmarks.engine [ARM ...]`: the engine's figures; prints JSON, fails below a bar."""

import sys

from tests.benchmarks.__main__ import main
from tests.benchmarks.engine.asking import bench_settings
from tests.benchmarks.engine.table import ARMS, deterministic_arms

if __name__ == "__main__":
    sys.exit(
        main(arms=deterministic_arms() if bench_settings().deterministic else ARMS, program="tests.benchmarks.engine")
    )
