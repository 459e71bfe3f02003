"""Weights from a model hub: one file of a repository, downloaded resumably."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from models.checksum import cache_sha256, sha256_of
from models.fetch_job import FetchJob, WeightsUnavailable, require_disk_space
from models.weights_sources import HubSource

_SHA256 = re.compile(r"[0-9a-f]{64}")
_METADATA_TIMEOUT_S = 15.0


@dataclass(frozen=True, slots=True)
class _DownloadLocation:
    """Download location of a file. `headers` hold the token; a redirect to another host drops them."""

    url: str
    headers: dict[str, str] = field(repr=False)
    size_bytes: int | None
    etag: str


def fetch_hub(source: HubSource, cache_folder: Path, job: FetchJob) -> Path:
    """The file of a hub source, fetched unless the cache has it; a cached file is used without a request to the hub.

    Honours HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE and the hub's own cache. Raises WeightsUnavailable when the hub
    cannot be reached or refuses, disk space is short, or the SHA-256 differs from what the hub or the source states.
    """
    target = hub_target(source, cache_folder)
    if target.exists():
        return target
    if (shared := _find_in_hub_cache(source)) is not None:
        return shared
    with job.hold_lock(target.with_name(target.name + ".lock")):
        if not target.exists():
            _download(source, target, cache_folder, job)
    return target


def hub_target(source: HubSource, cache_folder: Path) -> Path:
    """Path of a hub source's file in the cache."""
    return cache_folder / "hub" / source.repository.replace("/", "--") / source.revision / source.file


def _find_in_hub_cache(source: HubSource) -> Path | None:
    huggingface_hub = _library()
    found = huggingface_hub.try_to_load_from_cache(source.repository, source.file, revision=source.revision)
    return Path(found) if isinstance(found, str) else None


def _library() -> Any:
    """The hub's library, imported late: it reads the environment and takes half a second.

    Telemetry is off: with it, building the headers of a request first downloads a list from the hub.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import huggingface_hub

    return huggingface_hub


def _download(source: HubSource, target: Path, cache_folder: Path, job: FetchJob) -> None:
    located = _locate(source)
    etag = located.etag
    partial = target.with_name(f"{target.name}.{re.sub(r'[^A-Za-z0-9]', '', etag)[:16]}.partial")
    for stale in set(target.parent.glob(f"{target.name}.*.partial")) - {partial}:
        stale.unlink(missing_ok=True)
    partial_bytes = partial.stat().st_size if partial.exists() else 0
    if located.size_bytes is not None:
        require_disk_space(target.parent, located.size_bytes - partial_bytes, f"Downloading {source.name}")
    _transfer(source, located, partial, job)
    expected = source.sha256 or (etag if _SHA256.fullmatch(etag) else None)
    if expected is None:
        partial.replace(target)
        return
    if (found := sha256_of(partial, job)) != expected:
        partial.unlink()
        raise WeightsUnavailable(
            f"{source.file} of {source.repository} has SHA-256 {found} and should have {expected}. "
            "It was removed; try again, or correct the SHA-256 in the configuration."
        )
    partial.replace(target)
    cache_sha256(target, expected, cache_folder)


def _locate(source: HubSource) -> _DownloadLocation:
    """Size, etag and URL from the hub; the URL is pinned to the commit, so that a resumed download is one file."""
    hub = _library()
    from huggingface_hub import constants, errors

    if constants.is_offline_mode():
        raise WeightsUnavailable(
            f"{source.file} of {source.repository} is not on this machine and HF_HUB_OFFLINE forbids fetching it."
        )
    endpoint = os.environ.get("HF_ENDPOINT") or None
    url = hub.hf_hub_url(source.repository, source.file, revision=source.revision, endpoint=endpoint)
    token = hub.get_token()
    try:
        metadata = hub.get_hf_file_metadata(url, token=token, timeout=_METADATA_TIMEOUT_S, endpoint=endpoint)
    except (errors.HfHubHTTPError, OSError, _http_error()) as error:
        raise WeightsUnavailable(_hub_error_sentence(source, error)) from error
    commit = metadata.commit_hash or source.revision
    pinned = hub.hf_hub_url(source.repository, source.file, revision=commit, endpoint=endpoint)
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return _DownloadLocation(pinned, headers, metadata.size, metadata.etag or "")


def _transfer(source: HubSource, located: _DownloadLocation, partial: Path, job: FetchJob) -> None:
    """Append the missing bytes. The library's own download to its cache starts over after an interruption
    (huggingface_hub 1.33), so this uses the ranged transfer that it is built on, which also retries a lost connection.
    """
    from huggingface_hub.file_download import http_get

    def make_bar(total: int | None = None, initial: int = 0, **_: object) -> _ProgressBar:
        return _ProgressBar(source.name, job, total, initial)

    try:
        with partial.open("ab") as file:
            http_get(
                located.url,
                file,
                resume_size=file.tell(),
                headers=located.headers,
                expected_size=located.size_bytes,
                displayed_filename=source.name,
                tqdm_class=cast(Any, make_bar),
            )
            file.flush()
            os.fsync(file.fileno())
    except (OSError, ValueError, _http_error()) as error:
        raise WeightsUnavailable(_hub_error_sentence(source, error)) from error


def _http_error() -> type[Exception]:
    import httpx

    return httpx.HTTPError


class _ProgressBar:
    """Replacement for the library's tqdm bar: reports to the fetch job, which raises if it was cancelled."""

    def __init__(self, name: str, job: FetchJob, total: int | None, initial: int) -> None:
        self._name = name
        self._job = job
        self._total = total or 0
        self._done = initial

    def update(self, count: int) -> None:
        """Add bytes; the count is negative when the library has to start over."""
        self._done += count
        self._job.report_progress(self._name, "downloading", self._done, self._total)

    def __enter__(self) -> "_ProgressBar":
        return self

    def __exit__(self, *exc: object) -> None:
        pass


def _hub_error_sentence(source: HubSource, error: Exception) -> str:
    from huggingface_hub import errors

    description = f"{source.file} of {source.repository} ({source.revision})"
    if isinstance(error, errors.GatedRepoError):
        return (
            f"{description} needs permission: accept its terms on the hub and set HF_TOKEN to a token that may read it."
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"The hub has no repository {source.repository}, or it is private: check the name, or set HF_TOKEN."
    if isinstance(error, errors.RevisionNotFoundError | errors.EntryNotFoundError):
        return f"The hub has no {description}: check the file and the revision."
    detail = str(error).splitlines()[0] if str(error) else "it did not answer"
    return (
        f"The hub could not be reached for {description}: {detail.rstrip('.')}. Check the connection and HF_ENDPOINT; "
        "what was downloaded so far is kept. Or name a file on this machine (source: path)."
    )
