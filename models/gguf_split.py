"""Names of the parts of a split GGUF model: `NAME-00001-of-00003.gguf` and so on."""

import re
from pathlib import Path, PurePosixPath

_PART = re.compile(r"^(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<suffix>\.gguf)$", re.IGNORECASE)
_MAX_PARTS = 999


def part_names(name: str) -> list[str]:
    """The names of all parts of the model that a file name belongs to, in order; the name alone when it is not split.

    A name with folders keeps them.
    """
    folder, plain = PurePosixPath(name).parent, PurePosixPath(name).name
    match = _PART.match(plain)
    if match is None or not 1 <= int(match["count"]) <= _MAX_PARTS:
        return [name]
    count = int(match["count"])
    names = [f"{match['stem']}-{number:05}-of-{match['count']}{match['suffix']}" for number in range(1, 1 + count)]
    return [str(folder / each) for each in names]


def part_paths(path: Path) -> list[Path]:
    """The paths of all parts of the model that a file belongs to, in order; the path alone when it is not split."""
    return [path.with_name(name) for name in part_names(path.name)]


def size_of_parts(path: Path) -> int:
    """The bytes of all parts of the model that a file belongs to. Raises OSError when one is missing."""
    return sum(part.stat().st_size for part in part_paths(path))
