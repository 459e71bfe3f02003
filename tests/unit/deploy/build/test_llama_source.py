import os
import re
from pathlib import Path

import pytest

from deploy.build import llama_source
from deploy.build.progress import SetupFailed

DIFF = "--- a/ggml/sum.c\n+++ b/ggml/sum.c\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n"


def _patch(folder: Path, name: str, diff: str = DIFF, reason: str = "Write numbers in digits.") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    patch = folder / name
    patch.write_text(f"{reason}\n\n{diff}", encoding="utf-8")
    return patch


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """An unpacked source package of one file; its llama.cpp names a repository that is not there, as the real one."""
    source = tmp_path / "source"
    (source / "llama_cpp").mkdir(parents=True)
    (source / "llama_cpp" / "__init__.py").write_text('from .llama import *\n\n__version__ = "0.3.36"\n')
    vendored = source / llama_source.VENDORED
    (vendored / "ggml").mkdir(parents=True)
    (vendored / ".git").write_text("gitdir: ../../.git/modules/vendor/llama.cpp\n")
    (vendored / "LICENSE").write_text("MIT License")
    (vendored / "ggml" / "sum.c").write_text("one\ntwo\nthree\n")
    return source


def test_patches_change_the_sources_and_label_the_version(source: Path, tmp_path: Path) -> None:
    second = DIFF.replace("-two\n+2", "-2\n+II")
    patches = [_patch(tmp_path, "0001-digits.patch"), _patch(tmp_path, "0002-more.patch", second)]
    llama_source.apply_patches(source, patches, os.environ)
    assert (source / llama_source.VENDORED / "ggml" / "sum.c").read_text() == "one\nII\nthree\n"
    version = f'__version__ = "0.3.36{llama_source.version_label(patches)}"\n'
    assert (source / "llama_cpp" / "__init__.py").read_text() == f"from .llama import *\n\n{version}"


def test_the_licence_and_a_notice_of_the_changes_go_into_the_wheel(source: Path, tmp_path: Path) -> None:
    llama_source.apply_patches(source, [_patch(tmp_path, "0001-digits.patch")], os.environ)
    assert (source / "LICENSE-llama.cpp").read_text() == "MIT License"
    notice = (source / "NOTICE-hearth").read_text()
    assert "The ggml authors" in notice
    assert "0001-digits.patch" in notice


def test_the_stock_build_changes_nothing(source: Path) -> None:
    before = {file: file.read_bytes() for file in source.rglob("*") if file.is_file()}
    llama_source.apply_patches(source, (), os.environ)
    assert {file: file.read_bytes() for file in source.rglob("*") if file.is_file()} == before
    assert llama_source.version_label(()) == ""


def test_a_patch_for_another_version_is_refused_by_name(source: Path, tmp_path: Path) -> None:
    (source / llama_source.VENDORED / "ggml" / "sum.c").write_text("something else\n")
    with pytest.raises(SetupFailed, match=r"(?s)ggml/sum\.c.*0001-digits\.patch does not apply .*LLAMA=stock"):
        llama_source.apply_patches(source, [_patch(tmp_path, "0001-digits.patch")], os.environ)


def test_a_package_without_its_version_where_it_was_is_refused(source: Path, tmp_path: Path) -> None:
    (source / "llama_cpp" / "__init__.py").write_text("")
    with pytest.raises(SetupFailed, match="does not give the version"):
        llama_source.apply_patches(source, [_patch(tmp_path, "0001-digits.patch")], os.environ)


def test_the_label_follows_the_changes_and_not_the_words_about_them(tmp_path: Path) -> None:
    label = llama_source.version_label([_patch(tmp_path, "0001-a.patch")])
    assert re.fullmatch(r"\+hearth\.1\.h[0-9a-f]{7}", label)
    reworded = llama_source.version_label([_patch(tmp_path, "0001-b.patch", reason="Because digits are shorter.")])
    changed = llama_source.version_label([_patch(tmp_path, "0001-c.patch", DIFF.replace("+2", "+II"))])
    assert label == reworded != changed


def test_the_series_is_taken_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    for name in ("0010-b.patch", "0002-a.patch", "0010-b.patch.orig", "NOTICE"):
        (tmp_path / name).touch()
    assert [patch.name for patch in llama_source.patch_series(tmp_path)] == ["0002-a.patch", "0010-b.patch"]


@pytest.mark.parametrize("patch", llama_source.patch_series(), ids=lambda patch: patch.name)
def test_each_patch_says_why_what_it_gains_and_what_upstream_says(patch: Path) -> None:
    header = patch.read_text(encoding="utf-8").partition("\n--- ")[0]
    assert all(f"\n{word}: " in header for word in ("Reason", "Figures", "Upstream"))


def test_the_locked_version_is_a_release() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", llama_source.locked_version())
