"""`python -m tests.benchmarks.engine [ARM ...]`: the engine's figures; prints JSON, fails below a bar."""

import sys

from tests.benchmarks.__main__ import main
from tests.benchmarks.engine.table import ARMS

if __name__ == "__main__":
    sys.exit(main(arms=ARMS, program="tests.benchmarks.engine"))
