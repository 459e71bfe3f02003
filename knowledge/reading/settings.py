"""Settings of reading: size, time and memory limits."""

from pydantic import BaseModel, ConfigDict, Field

from knowledge.loaders.types import LoadLimits


class ReadingSettings(BaseModel):
    """How much one file may take, and how long its passages are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file_size_limit_mb: int = Field(default=50, ge=1, le=2000, description="Largest file to read, in megabytes.")
    text_limit_characters: int = Field(
        default=10_000_000, ge=1000, description="Most text to take from one file, in characters."
    )
    row_limit: int = Field(default=50_000, ge=1, description="Most rows to read from one CSV or JSONL file.")
    ocr_pages: int = Field(
        default=8,
        ge=0,
        description="Most pages of a scan whose text is recognised, with the extra `ocr`: about 5 s of computing each.",
    )
    time_limit_s: float = Field(default=60.0, gt=0, le=3600, description="Time limit for reading one file, in seconds.")
    memory_limit_mb: int = Field(
        default=1024,
        ge=64,
        description="Memory limit for reading one file, in megabytes, on top of the reading process's own.",
    )
    passage_characters: int = Field(
        default=1000,
        ge=200,
        le=8000,
        description="Longest passage, in characters; embedding models ignore text beyond their input limit.",
    )
    files_per_process: int = Field(
        default=2000, ge=1, description="Files that one reading process handles before it is replaced."
    )

    def load_limits(self) -> LoadLimits:
        """The part of the limits that the loaders keep."""
        return LoadLimits(
            file_bytes=self.file_size_limit_mb * 1_000_000,
            text_characters=self.text_limit_characters,
            rows=self.row_limit,
            recognised_pages=self.ocr_pages,
        )
