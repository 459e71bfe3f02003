"""Settings of reading: size, time and memory limits."""

from pydantic import BaseModel, ConfigDict, Field

from knowledge.loaders.types import LoadLimits


class ReadingSettings(BaseModel):
    """How much one file may take, and how long its passages are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file_size_limit_mb: int = Field(
        default=50, ge=1, le=2000, description="The largest file that is read, in megabytes."
    )
    text_limit_characters: int = Field(
        default=10_000_000, ge=1000, description="The most text that is taken from one file, in characters."
    )
    row_limit: int = Field(default=50_000, ge=1, description="The most rows that are read from one CSV or JSONL file.")
    time_limit_s: float = Field(
        default=60.0, gt=0, le=3600, description="How long reading one file may take, in seconds."
    )
    memory_limit_mb: int = Field(
        default=1024,
        ge=64,
        description="How much memory reading one file may take, in megabytes, next to the reader's own.",
    )
    passage_characters: int = Field(
        default=1000,
        ge=200,
        le=8000,
        description="The longest passage, in characters; an embedding model reads only so much.",
    )
    files_per_process: int = Field(
        default=2000, ge=1, description="After how many files the reading process is replaced by a fresh one."
    )

    def load_limits(self) -> LoadLimits:
        """The part of the limits that the loaders keep."""
        return LoadLimits(
            file_bytes=self.file_size_limit_mb * 1_000_000,
            text_characters=self.text_limit_characters,
            rows=self.row_limit,
        )
