"""Settings of the core: access, waiting times, and prompt sizes."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class PeopleSettings(BaseModel):
    """People who never get an answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    block: tuple[str, ...] = Field((), description="Ids of these people.")


class CoreSettings(BaseModel):
    """Conversations: language, limits and timeouts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field("Hearth", min_length=1, max_length=80, description="The assistant's name.")
    language: Literal["auto", "en", "fr"] = Field(
        "auto",
        description="Language of Hearth's own sentences; auto follows the first clear message of a conversation.",
    )
    instructions: str = Field(
        "",
        max_length=8000,
        description="Added to the system prompt: facts about your home that the assistant should know.",
    )
    command_prefix: str = Field("!", min_length=1, max_length=5, description="Prefix of commands in a message.")
    people: PeopleSettings = Field(
        default_factory=PeopleSettings, description="People who never get an answer, on any platform."
    )
    question_characters: int = Field(20_000, ge=100, description="Longer questions are refused, in characters.")
    open_questions_per_person: int = Field(5, ge=1, description="Questions one person may have open at the same time.")
    queue_notice_after_s: float = Field(
        2.0, ge=0, description="Seconds of waiting after which the position in the queue is shown."
    )
    flood_answers_per_minute: int = Field(
        20, ge=1, description="More answers per minute than this pause a conversation (bridges can echo bots)."
    )
    flood_pause_s: float = Field(300.0, gt=0, description="Length of that pause, in seconds.")
    history_tokens: int = Field(
        1200, ge=0, description="Tokens of earlier turns in a prompt; beyond that the older half is dropped."
    )
    prompt_passages: int = Field(5, ge=0, le=50, description="Most passages in the prompt of one question.")
    passage_tokens: int = Field(1200, ge=0, description="Most tokens of passages and attachments together.")
    when_nothing_found: Literal["refuse", "answer"] = Field(
        "refuse",
        description="A first question that no collection supports: refuse it and name them, or let the model answer.",
    )
    search_timeout_s: float = Field(
        20.0, gt=0, description="Timeout of a search, in seconds; the answer then goes on without documents."
    )
    generation_stall_timeout_s: float = Field(
        600.0,
        gt=0,
        description="Seconds without a token, including the prefill of a long prompt, before an answer is given up.",
    )
    send_timeout_s: float = Field(
        60.0, gt=0, description="Timeout for a platform to accept the final text, in seconds."
    )
    shutdown_grace_s: float = Field(
        5.0, ge=0, description="Seconds that running answers have to finish when Hearth is stopped."
    )
