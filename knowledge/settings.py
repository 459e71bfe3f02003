"""Settings of document search: collections, embedder, and reading limits."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from knowledge.globs import compile_globs
from knowledge.junk_rules import DEFAULT_JUNK, JunkRules
from knowledge.reading.settings import ReadingSettings
from knowledge.reranking.settings import RerankingSettings


def _check_name(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", name):
        near = re.sub(r"[^a-z0-9_-]+", "-", name.casefold()).strip("-_")[:64]
        suggestion = f"; did you mean `{near}`?" if near else ""
        raise ValueError(f"a name is made of small letters, digits, - and _, and begins with a letter{suggestion}")
    return name


def _refuse_empty(path: Any) -> Any:
    # An empty text would be the current folder, which nobody means by it.
    if isinstance(path, str) and not path.strip():
        raise ValueError("is empty: write a path, or leave the key out")
    return path


def _check_glob(pattern: str) -> str:
    folders = pattern.split("/")
    if not pattern.strip("/ ") or "\\" in pattern or ".." in folders or pattern.startswith("~"):
        raise ValueError(
            f"`{pattern}` matches nothing: a pattern names files below the collection's folder, with forward slashes"
        )
    return pattern


CollectionName = Annotated[str, AfterValidator(_check_name)]
FolderPath = Annotated[Path, BeforeValidator(_refuse_empty)]
Glob = Annotated[str, AfterValidator(_check_glob)]


class CollectionSettings(BaseModel):
    """A named set of documents with its own readers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: FolderPath = Field(
        description="Folder of the documents, or a single file; a relative path starts at the config file's folder."
    )
    include: tuple[Glob, ...] = Field(
        default=(),
        description="Glob patterns below the folder; a file must match one of them. Empty: every supported format.",
    )
    exclude: tuple[Glob, ...] = Field(
        default=(), description="Glob patterns below the folder; matching files are left out."
    )
    readers: tuple[str, ...] = Field(
        default=("console",),
        description="Who may get answers from this collection: rooms, channels, roles, people, console or everyone.",
    )
    template: str = Field(
        default="",
        description="Template for the text of a CSV or JSONL row, with {column} placeholders; empty: one line"
        " per column.",
    )

    @field_validator("include", "exclude")
    @classmethod
    def _check_patterns(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        compile_globs(patterns)
        return patterns


class EmbeddingSettings(BaseModel):
    """The model that turns texts into vectors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["fastembed", "hashing"] = Field(
        default="fastembed", description="fastembed runs an ONNX model; hashing needs no model but finds less."
    )
    model: str = Field(
        default="all-MiniLM-L6-v2-int8",
        description="Name of the model: one that `hearth models recommend` lists, one that fastembed knows, or any"
        " name for the files in weights.embedding.",
    )
    model_file: str | None = Field(
        default=None, description="ONNX file of a local model; none: the only one among its files."
    )
    dimension: int | None = Field(
        default=None,
        ge=8,
        le=8192,
        description="Number of dimensions of the model's vectors; none: as its preset or its files say.",
    )
    pooling: Literal["mean", "cls", "last_token", "none"] | None = Field(
        default=None,
        description="How a local model's token vectors are pooled into one, `none` for a model that pools them itself;"
        " left empty: as its preset says, otherwise mean.",
    )
    question_prefix: str | None = Field(
        default=None,
        description="Prefix that the model expects before a question, with its trailing space, such as 'query: ';"
        " none: as its preset says.",
    )
    passage_prefix: str | None = Field(
        default=None,
        description="Prefix that the model expects before a passage, with its trailing space, such as 'passage: ';"
        " none: as its preset says.",
    )


class KnowledgeSettings(BaseModel):
    """Collections, embedder and reading limits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    collections: dict[CollectionName, CollectionSettings] = Field(
        default_factory=dict,
        description="Document collections by name; a name has lower-case letters, digits, - and _.",
    )
    junk: tuple[Glob, ...] = Field(
        default=DEFAULT_JUNK,
        description="Glob patterns of what is left out of every collection and only counted; one that ends in a slash"
        " is for folders.",
    )
    watch: bool = Field(
        default=False,
        description="Whether the running Hearth indexes by itself what changes in the folders: within seconds, and on"
        " network shares at each rescan.",
    )
    rescan_minutes: float = Field(
        default=15.0,
        gt=0,
        le=1440,
        description="How often watched folders are read that tell no changes, such as network shares.",
    )
    embedding: EmbeddingSettings = Field(
        default_factory=EmbeddingSettings, description="The embedding model, for vector search."
    )
    reranking: RerankingSettings = Field(
        default_factory=RerankingSettings,
        description="An optional model that orders the candidates of a search again.",
    )
    reading: ReadingSettings = Field(
        default_factory=ReadingSettings, description="Limits for reading files, and the length of passages."
    )

    @field_validator("junk")
    @classmethod
    def _check_junk(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        JunkRules(patterns)
        return patterns
