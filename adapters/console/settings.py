"""Settings of the console adapter."""

from pydantic import BaseModel, ConfigDict, Field


class ConsoleSettings(BaseModel):
    """Display and limits of conversations on the console."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    edit_interval_s: float = Field(0.05, ge=0, description="Seconds between two updates of a streaming answer.")
    attachment_bytes: int = Field(20_000_000, ge=0, description="Larger attachments are refused, in bytes.")
    line_bytes: int = Field(32_000_000, ge=1000, description="Longer input lines are refused, in bytes.")
