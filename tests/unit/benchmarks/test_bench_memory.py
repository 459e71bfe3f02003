"""Resident memory is read from the kernel's list of mappings."""

from tests.benchmarks.memory import resident_bytes

SMAPS = """\
5581e0000000-5581e0200000 r--p 00000000 fe:00 1311 /usr/bin/python3.11
Size:               2048 kB
Rss:                 100 kB
Pss:                  50 kB
VmFlags: rd mr mw me sd
7f0000000000-7f0006000000 r--s 00000000 fe:00 99 /home/ana/my data/answers.db
Size:              98304 kB
Rss:                2000 kB
7f0010000000-7f0010100000 rw-p 00000000 00:00 0
Rss:                  30 kB
"""


def test_all_mappings_are_added_up() -> None:
    assert resident_bytes(SMAPS) == 1024 * 2130


def test_mappings_of_a_size_are_added_up_by_themselves() -> None:
    assert resident_bytes(SMAPS, at_least=98304 * 1024) == 1024 * 2030
    assert resident_bytes(SMAPS, at_least=1 << 40) == 0
