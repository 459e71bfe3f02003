"""Settings of document search: collections, embedder, and reading limits."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from knowledge.reading.settings import ReadingSettings

CollectionName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]


class CollectionSettings(BaseModel):
    """A named set of documents with its own readers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: Path = Field(description="Folder that holds the documents; a relative path starts at the config file.")
    include: tuple[str, ...] = Field(
        default=(),
        description="Glob patterns below the folder; a file must match one. None: every kind that can be read.",
    )
    exclude: tuple[str, ...] = Field(
        default=(), description="Glob patterns below the folder; a file that matches one of them is left out."
    )
    readers: tuple[str, ...] = Field(
        default=("console",),
        description="Who may get answers from this collection: rooms, channels, roles, people, console, or everyone.",
    )
    template: str = Field(
        default="",
        description="How a row of a CSV or JSONL file becomes text, {column} for each; empty: one line a column.",
    )


class EmbeddingSettings(BaseModel):
    """The model that turns texts into vectors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["fastembed", "hashing"] = Field(
        default="fastembed", description="fastembed runs an ONNX model; hashing needs no model and finds less."
    )
    model: str = Field(
        default="all-MiniLM-L6-v2-int8",
        description="Name of the model; one that fastembed knows when no weights are configured.",
    )
    model_file: str = Field(default="model.onnx", description="The ONNX file inside the folder of a local model.")
    dimension: int = Field(default=384, ge=8, le=8192, description="Length of the model's vectors.")
    pooling: Literal["mean", "cls", "last_token", "none"] = Field(
        default="mean", description="How a local model's token vectors become one; none if the model does it itself."
    )
    question_prefix: str = Field(
        default="", description="Text the model expects before a question, with its trailing space, such as 'query: '."
    )
    passage_prefix: str = Field(
        default="", description="Text the model expects before a passage, with its trailing space, such as 'passage: '."
    )


class KnowledgeSettings(BaseModel):
    """Collections, embedder and reading limits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    collections: dict[CollectionName, CollectionSettings] = Field(
        default_factory=dict, description="The document collections by name: small letters, digits, - and _."
    )
    embedding: EmbeddingSettings = Field(
        default_factory=EmbeddingSettings, description="The model that turns texts into vectors."
    )
    reading: ReadingSettings = Field(
        default_factory=ReadingSettings, description="How much one file may take, and how long its passages are."
    )
