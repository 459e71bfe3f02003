"""`python -m tests.benchmarks [ARM ...]`: measures all arms unless some are named; prints JSON, fails below a bar."""

import argparse
import sys
from collections.abc import Sequence

from tests.benchmarks.figures import Arm
from tests.benchmarks.harness import measure_here, report, show
from tests.benchmarks.table import ARMS


def main(arguments: Sequence[str] | None = None, arms: Sequence[Arm] = ARMS, program: str = "tests.benchmarks") -> int:
    """Run the command line of a table of arms; the exit code is 0 when every bar was met, else 1."""
    by_name = {arm.name: arm for arm in arms}
    parser = argparse.ArgumentParser(prog=f"python -m {program}")
    parser.add_argument("arms", nargs="*", metavar="ARM", help=f"any of {', '.join(by_name)}; all unless named")
    parser.add_argument("--measure", choices=by_name, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.measure:
        measure_here(by_name[chosen.measure])
        return 0
    if unknown := set(chosen.arms) - by_name.keys():
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(by_name)}")
    return show(report([by_name[name] for name in chosen.arms] or arms, program))


if __name__ == "__main__":
    sys.exit(main())
