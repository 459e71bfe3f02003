"""Settings that all chat platforms have in common."""

from abc import abstractmethod
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from adapters.intake.access_list import AccessList

Id = TypeVar("Id", int, str)
"""How the platform identifies users, channels and rooms."""


class ChannelSettings(BaseModel):
    """Overrides for one channel or room."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    answer_in_thread: bool | None = Field(
        None, description="Answer each question in a thread of its own; none: as above."
    )
    recent_messages: int | None = Field(
        None, ge=0, le=100, description="Recent messages read with a question; none: as above."
    )


class ChatPlatformSettings(BaseModel, Generic[Id]):
    """Where and whom Hearth answers on one platform, and how much it reads there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(False, description="Whether `hearth run` answers on this platform.")
    direct_messages: bool = Field(True, description="Answer direct messages.")
    users: AccessList[Id] = Field(default_factory=AccessList[Id], description="People who are answered.")
    admin_users: frozenset[Id] = Field(frozenset(), description="People who may use the admins' commands.")
    answer_in_thread: bool = Field(False, description="Answer each question in a thread of its own.")
    recent_messages: int = Field(
        0, ge=0, le=100, description="Recent messages read with a question and forgotten after it."
    )
    reply_chain_limit: int = Field(4, ge=0, le=20, description="Messages read upwards when a question is a reply.")
    attachment_limit: int = Field(4, ge=0, le=10, description="Files read with a question.")
    attachment_bytes: int = Field(10_000_000, ge=1, description="Larger files are not read, in bytes.")
    catch_up_max_age_s: float = Field(
        21_600, ge=0, description="Missed messages are answered up to this age, in seconds."
    )
    catch_up_messages: int = Field(50, ge=0, le=1000, description="Missed messages looked at in each channel or room.")
    read_timeout_s: float = Field(15, gt=0, description="Longest wait for the context of a question, in seconds.")

    def answers_in_thread(self, channel: Id) -> bool:
        """Whether questions in a channel or room are answered in threads of their own."""
        own = self.overrides_for(channel)
        return self.answer_in_thread if own is None or own.answer_in_thread is None else own.answer_in_thread

    def recent_limit(self, channel: Id) -> int:
        """How many of the last messages of a channel or room are read with a question."""
        own = self.overrides_for(channel)
        return self.recent_messages if own is None or own.recent_messages is None else own.recent_messages

    @abstractmethod
    def overrides_for(self, channel: Id) -> ChannelSettings | None:
        """The overrides for a channel or room; None if it has none."""
