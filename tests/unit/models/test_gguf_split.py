from pathlib import Path

import pytest

from models.gguf_header import NotGguf, read_header
from models.gguf_split import part_names, part_paths, size_of_parts
from tests.fakes.split_gguf import split_model
from tests.fakes.tiny_gguf import write_tiny_model


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("model.gguf", ["model.gguf"]),
        ("m-00001-of-00002.gguf", ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"]),
        ("m-00002-of-00002.gguf", ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"]),
        ("Q4/m-00001-of-00002.gguf", ["Q4/m-00001-of-00002.gguf", "Q4/m-00002-of-00002.gguf"]),
        ("m-00001-of-00001.gguf", ["m-00001-of-00001.gguf"]),
        ("m-00001-of-00000.gguf", ["m-00001-of-00000.gguf"]),
        ("m-00001-of-99999.gguf", ["m-00001-of-99999.gguf"]),
    ],
)
def test_a_file_name_tells_the_parts_of_its_model(name: str, parts: list[str]) -> None:
    assert part_names(name) == parts


def test_parts_are_in_one_folder(tmp_path: Path) -> None:
    assert part_paths(tmp_path / "m-00001-of-00002.gguf")[1] == tmp_path / "m-00002-of-00002.gguf"


def test_the_weights_of_a_split_model_are_those_of_all_parts(tmp_path: Path) -> None:
    whole = read_header(write_tiny_model(tmp_path / "tiny.gguf", "attention"))
    parts = split_model(tmp_path / "tiny.gguf", 3)
    header = read_header(parts[0])
    assert header.weights_bytes == whole.weights_bytes
    assert header.weight_types == whole.weight_types
    assert header.layers == whole.layers
    assert header.size_bytes == size_of_parts(parts[0]) == sum(part.stat().st_size for part in parts)


def test_a_missing_or_short_part_is_named(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "tiny.gguf", "attention")
    first, second, third = split_model(tmp_path / "tiny.gguf", 3)
    third.write_bytes(third.read_bytes()[:-100])
    with pytest.raises(NotGguf, match=r"split into 3 parts, and tiny-00003-of-00003\.gguf should have"):
        read_header(first)
    second.unlink()
    with pytest.raises(NotGguf, match=r"split into 3 parts, and tiny-00002-of-00003\.gguf is missing"):
        read_header(first)
    with pytest.raises(NotGguf, match=r"its first part, tiny-00001-of-00003\.gguf"):
        read_header(third)


def test_a_first_part_under_another_name_is_told(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "tiny.gguf", "attention")
    first, *_ = split_model(tmp_path / "tiny.gguf", 2)
    renamed = first.rename(tmp_path / "renamed.gguf")
    with pytest.raises(NotGguf, match="first of 2 parts"):
        read_header(renamed)
