import platform
from pathlib import Path

import pytest

from deploy.build import llama
from deploy.build.machine import instruction_sets, require_compiler
from deploy.build.progress import SetupFailed

CPUINFO = "processor\t: 0\nmodel name\t: Some\nflags\t\t: fpu avx2 avx\n\nprocessor\t: 1\nflags\t\t: other\n"


def _key(**environment: str) -> str:
    return llama.plan_build(environment).key


def test_an_unknown_backend_is_told_with_the_known_ones() -> None:
    with pytest.raises(SetupFailed, match=r"BACKEND=abacus is not one of cpu, cuda, vulkan, rocm, metal\.") as failure:
        llama.plan_build({"BACKEND": "abacus"})
    assert failure.value.status == 2


def test_native_takes_nothing_but_0_and_1() -> None:
    with pytest.raises(SetupFailed, match="NATIVE=maybe"):
        llama.plan_build({"NATIVE": "maybe"})


@pytest.mark.parametrize(
    ("backend", "flag"), [("cuda", "-DGGML_CUDA=ON"), ("vulkan", "-DGGML_VULKAN=ON"), ("rocm", "-DGGML_HIP=ON")]
)
def test_each_backend_has_its_flag_and_leaves_out_what_is_not_loaded(backend: str, flag: str) -> None:
    build = llama.plan_build({"BACKEND": backend})
    assert build.name == f"{backend}-{build.key}"
    assert {flag, "-DLLAVA_BUILD=OFF", "-DLLAMA_OPENSSL=OFF"} <= set(build.flags)


def test_a_portable_build_names_its_instruction_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    assert {"-DGGML_NATIVE=OFF", "-DGGML_AVX2=ON", "-DGGML_F16C=ON"} <= set(llama.plan_build({"NATIVE": "0"}).flags)
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert not any("AVX" in flag for flag in llama.plan_build({"NATIVE": "0"}).flags)


def test_whatever_changes_the_result_changes_the_key() -> None:
    keys = [_key(), _key(BACKEND="vulkan"), _key(NATIVE="0"), _key(CXX="clang++"), _key(CMAKE_ARGS="-DGGML_AVX512=OFF")]
    keys.append(_key(LLAMA="stock"))
    assert len(set(keys)) == len(keys)
    assert _key() == _key(BACKEND="cpu", NATIVE="1", LLAMA="patched", PATH="/elsewhere", HOME="/elsewhere")


def test_llama_takes_nothing_but_patched_and_stock() -> None:
    assert llama.plan_build({}).patches
    assert not llama.plan_build({"LLAMA": "stock"}).patches
    with pytest.raises(SetupFailed, match="LLAMA=bare") as failure:
        llama.plan_build({"LLAMA": "bare"})
    assert failure.value.status == 2


def test_only_a_native_wheel_belongs_to_one_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    native, portable = _key(), _key(NATIVE="0")
    monkeypatch.setattr(llama.machine, "processor_features", lambda: "another")
    assert _key() != native
    assert _key(NATIVE="0") == portable


def test_the_flags_of_a_processor_are_those_of_the_first() -> None:
    assert instruction_sets(CPUINFO) == "avx avx2 fpu"
    assert instruction_sets("Features\t: asimd fp\n") == "asimd fp"
    assert instruction_sets("") == ""


def test_a_machine_without_compiler_is_told_which_package_brings_one(tmp_path: Path) -> None:
    with pytest.raises(SetupFailed, match=r"No C compiler .* sudo apt install build-essential"):
        require_compiler({"PATH": str(tmp_path)})


def test_a_chosen_compiler_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupFailed, match=r"looked for nosuchcc"):
        require_compiler({"PATH": str(tmp_path), "CC": "nosuchcc -m64"})


def test_a_backend_without_its_toolkit_is_told_before_anything_is_fetched(tmp_path: Path) -> None:
    for name in ("cc", "c++", "git"):
        (tmp_path / name).touch(mode=0o755)
    with pytest.raises(SetupFailed, match="BACKEND=vulkan needs glslc"):
        llama.require_tools(llama.plan_build({"BACKEND": "vulkan"}), {"PATH": str(tmp_path)})


def test_without_git_only_the_stock_build_is_compiled(tmp_path: Path) -> None:
    for name in ("cc", "c++"):
        (tmp_path / name).touch(mode=0o755)
    with pytest.raises(SetupFailed, match=r"git was not found.*LLAMA=stock"):
        llama.require_tools(llama.plan_build({}), {"PATH": str(tmp_path)})
    llama.require_tools(llama.plan_build({"LLAMA": "stock"}), {"PATH": str(tmp_path)})


def test_an_interrupted_compile_leaves_nothing_that_is_found(tmp_path: Path) -> None:
    build = llama.plan_build({})
    half = tmp_path / "wheels" / ".making-x" / "out" / "llama_cpp_python-0.3.36-py3-none-any.whl"
    half.parent.mkdir(parents=True)
    half.touch()
    assert llama.find_wheel(build, tmp_path) is None
    half.parent.rename(tmp_path / "wheels" / build.name)
    assert llama.find_wheel(build, tmp_path) == tmp_path / "wheels" / build.name / half.name


def test_the_admins_cmake_arguments_come_last_and_win() -> None:
    environment = {"PATH": "/bin", "CMAKE_ARGS": "-DGGML_AVX512=OFF", "CMAKE_BUILD_PARALLEL_LEVEL": "3"}
    given = llama.compile_environment(llama.plan_build(environment), Path("/t"), Path("/m"), environment)
    assert given["CMAKE_ARGS"].endswith("-DLLAMA_OPENSSL=OFF -DGGML_AVX512=OFF")
    assert given["CMAKE_BUILD_PARALLEL_LEVEL"] == "3"
    assert given["PATH"].startswith("/t/bin:/bin")


@pytest.mark.parametrize(
    "name",
    [
        "llama_cpp_python-0.3.36-py3-none-any.whl",
        "llama_cpp_python-0.3.36+cu124-cp311.whl",
        "llama_cpp_python-0.3.36+hearth.1.h0123456-py3-none-linux_x86_64.whl",
    ],
)
def test_a_ready_wheel_of_the_locked_version_is_taken(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert llama.check_wheel(tmp_path / name) == tmp_path / name


@pytest.mark.parametrize("name", ["llama_cpp_python-0.3.2-py3-none-any.whl", "numpy-0.3.36-py3-none-any.whl"])
def test_a_ready_wheel_of_another_version_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(SetupFailed, match=r"is not a wheel of llama-cpp-python 0\.3\.36"):
        llama.check_wheel(tmp_path / name)


def test_a_ready_wheel_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SetupFailed, match="is not a file"):
        llama.check_wheel(tmp_path / "llama_cpp_python-0.3.36-py3-none-any.whl")
