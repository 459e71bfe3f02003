"""Settings of the console adapter."""

from pydantic import ConfigDict, Field

from adapters.local_chat import LocalChatSettings


class ConsoleSettings(LocalChatSettings):
    """How conversations on the console are shown."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    edit_interval_s: float = Field(0.05, ge=0, description="Seconds between two updates of a streaming answer.")
    attachment_bytes: int = Field(20_000_000, ge=0, description="Larger attachments are refused, in bytes.")
