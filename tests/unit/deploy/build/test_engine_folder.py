import platform
import zipfile
from pathlib import Path

import pytest

from deploy.build import engine_folder, llama
from deploy.build.progress import SetupFailed


def _cache_wheel(cache: Path, environment: dict[str, str]) -> None:
    wheel = cache / "wheels" / llama.plan_build(environment).name / "llama_cpp_python-0.3.36-py3-none-any.whl"
    wheel.parent.mkdir(parents=True)
    with zipfile.ZipFile(wheel, "w") as files:
        files.writestr("llama_cpp/lib/libllama.so", environment["LLAMA"])


@pytest.fixture(autouse=True)
def _on_x86(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")


def test_avx2_is_the_portable_build() -> None:
    assert engine_folder.isa_environment({"ISA": "avx2", "NATIVE": "1"})["NATIVE"] == "0"
    assert "NATIVE" not in engine_folder.isa_environment({"ISA": "native"})
    assert "NATIVE" not in engine_folder.isa_environment({})


def test_other_instruction_sets_are_refused() -> None:
    with pytest.raises(SetupFailed, match="ISA=mmx") as failure:
        engine_folder.isa_environment({"ISA": "mmx"})
    assert failure.value.status == 2


def test_avx2_is_refused_where_no_processor_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(SetupFailed, match="this is aarch64"):
        engine_folder.isa_environment({"ISA": "avx2"})


def test_builds_are_unpacked_side_by_side_from_their_cached_wheels(tmp_path: Path) -> None:
    folders = []
    for sources in ("patched", "stock"):
        environment = {"HEARTH_CACHE": str(tmp_path), "PATH": str(tmp_path / "nothing"), "LLAMA": sources}
        _cache_wheel(tmp_path, environment)
        folder = engine_folder.engine_folder(environment)
        assert (folder / "llama_cpp" / "lib" / "libllama.so").read_text() == sources
        folders.append(folder)
    assert folders[0] != folders[1]


def test_without_a_compiler_it_is_told_which_package_brings_one(tmp_path: Path) -> None:
    with pytest.raises(SetupFailed, match="No C compiler was found"):
        engine_folder.engine_folder({"HEARTH_CACHE": str(tmp_path), "PATH": str(tmp_path / "nothing")})
    assert not list(tmp_path.rglob("engines/*/made"))
