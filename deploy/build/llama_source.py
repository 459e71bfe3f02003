"""Source of llama.cpp inside llama-cpp-python's source package: unpacked, changed by Hearth's patches and labelled."""

import hashlib
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy.build.packages import LOCKS
from deploy.build.progress import CommandFailed, SetupFailed, parse_compile_step, run_with_progress

PATCHES = Path(__file__).with_name("patches")
NOTICE = PATCHES / "NOTICE"
VENDORED = Path("vendor") / "llama.cpp"
_VERSION = re.compile(r'(?m)^__version__ = "([^"+]+)"$')


def patch_series(folder: Path = PATCHES) -> tuple[Path, ...]:
    """Return Hearth's patches for llama.cpp in the order in which they apply."""
    return tuple(sorted(folder.glob("[0-9][0-9][0-9][0-9]-*.patch")))


def locked_version() -> str:
    """Return the version of llama-cpp-python in the lock."""
    return (LOCKS / "engine.lock").read_text(encoding="utf-8").split("==")[1].split()[0]


def version_label(patches: Sequence[Path]) -> str:
    """Return the local version label of a build, such as `+hearth.2.h1f0c9a2`: number and digest of its patches.

    Empty without patches. The texts above the diffs do not count: rewording them calls for no new compile. States saved
    by builds with different labels are not exchanged.
    """
    if not patches:
        return ""
    diffs = [b"\n--- " + patch.read_bytes().partition(b"\n--- ")[2] for patch in patches]
    return f"+hearth.{len(patches)}.h{hashlib.sha256(b''.join(diffs)).hexdigest()[:7]}"


def unpack_source(tools: Path, folder: Path, log: Path, environment: Mapping[str, str]) -> Path:
    """Fetch the locked source package, with its hash checked, and return its unpacked folder inside `folder`.

    Raises SetupFailed with the end of the log.
    """
    command: list[str | Path] = [tools / "bin" / "python", "-m", "pip", "download", "--progress-bar", "raw"]
    # Even a download runs the package's build backend for its metadata: with the locked tools.
    command += ["--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--require-hashes"]
    command += ["--dest", folder, "--requirement", LOCKS / "engine.lock"]
    environment = {**environment, "PATH": f"{tools / 'bin'}{os.pathsep}{environment.get('PATH', os.defpath)}"}
    try:
        run_with_progress(command, "Sources", parse_compile_step, log, environment)
    except CommandFailed as failure:
        raise SetupFailed(
            "\n".join(failure.tail) + f"\n\nThe sources of the language model's engine could not be fetched. Log: {log}"
        ) from failure
    (archive,) = folder.glob("llama_cpp_python-*.tar.gz")
    with tarfile.open(archive) as files:
        # Python 3.11.0 to 3.11.3 have no filters; the hash in the lock vouches for the archive there.
        files.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
        files.extractall(folder)  # noqa: S202
    archive.unlink()
    (source,) = folder.glob("llama_cpp_python-*")
    return source


def require_git(patches: Sequence[Path], environment: Mapping[str, str]) -> None:
    """Raise SetupFailed when there are patches but no git to apply them."""
    if patches and not shutil.which("git", path=environment.get("PATH")):
        raise SetupFailed(
            "git was not found; it applies Hearth's changes to llama.cpp before the compile. On Debian or Ubuntu: sudo "
            "apt install git. Or compile llama.cpp as it is: make LLAMA=stock ..."
        )


def apply_patches(source: Path, patches: Sequence[Path], environment: Mapping[str, str]) -> None:
    """Apply patches to the unpacked source package `source` and label its version; raises SetupFailed when one fails.

    Without patches, nothing is changed.
    """
    for patch in patches:
        result = subprocess.run(
            ["git", "apply", "--whitespace=nowarn", patch.absolute()],
            cwd=source / VENDORED,
            # No repository: neither the one that the sources were taken from nor one around the work folder.
            env={**environment, "GIT_DIR": os.devnull},
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            raise SetupFailed(
                f"{result.stderr.strip()}\n\n{patch.name} does not apply to the llama.cpp of llama-cpp-python "
                f"{locked_version()}. It was written for another version: renew or remove it (deploy/build/patches), "
                "or compile llama.cpp as it is: make LLAMA=stock ..."
            )
    if patches:
        _label_version(source, version_label(patches))
        _add_notices(source, patches)


def _label_version(source: Path, label: str) -> None:
    file = source / "llama_cpp" / "__init__.py"
    text, count = _VERSION.subn(rf'__version__ = "\g<1>{label}"', file.read_text(encoding="utf-8"))
    if count != 1:
        raise SetupFailed(f"{file} does not give the version of llama-cpp-python where it used to: look at it.")
    file.write_text(text, encoding="utf-8")


def _add_notices(source: Path, patches: Sequence[Path]) -> None:
    # The build backend copies LICENSE* and NOTICE* of this folder into the metadata of the wheel.
    shutil.copy(source / VENDORED / "LICENSE", source / "LICENSE-llama.cpp")
    names = "".join(f"  {patch.name}\n" for patch in patches)
    text = NOTICE.read_text(encoding="utf-8") + f"\nChanges in this build:\n{names}"
    (source / "NOTICE-hearth").write_text(text, encoding="utf-8")
