"""Settings of the core: access, waiting times, and prompt sizes."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class PeopleSettings(BaseModel):
    """People who never get an answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    block: tuple[str, ...] = Field((), description="Ids of people who are never answered.")


class HistorySettings(BaseModel):
    """How long conversations are kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keep_days: int | None = Field(
        default=None,
        ge=1,
        description="Days after which questions, answers and their passages are deleted; null: they are kept until they"
        " are forgotten.",
    )


class CoreSettings(BaseModel):
    """Conversations: language, limits and timeouts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field("Hearth", min_length=1, max_length=80, description="The assistant's name.")
    language: Literal["auto", "en", "fr"] = Field(
        "auto",
        description="Language of Hearth's own sentences; auto: that of the conversation's first clear message.",
    )
    instructions: str = Field(
        "", max_length=8000, description="Text added to the system prompt, such as facts about your home."
    )
    command_prefix: str = Field("!", min_length=1, max_length=5, description="Prefix of commands in a message.")
    people: PeopleSettings = Field(default_factory=PeopleSettings, description="People, on all platforms.")
    question_characters: int = Field(
        20_000, ge=100, description="Longest question, in characters; longer ones are refused with a sentence."
    )
    open_questions_per_person: int = Field(
        5, ge=1, description="Questions that one person may have open at the same time."
    )
    queue_notice_after_s: float = Field(
        2.0, ge=0, description="Waiting time, in seconds, after which the place in the queue is shown."
    )
    flood_answers_per_minute: int = Field(
        20,
        ge=1,
        description="A conversation with more answers per minute is paused (a bridge can make two bots answer"
        " each other).",
    )
    flood_pause_s: float = Field(300.0, gt=0, description="Length of such a pause, in seconds.")
    history_tokens: int = Field(
        1200, ge=0, description="Tokens of earlier turns in a prompt; when full, the older half is dropped."
    )
    prompt_passages: int = Field(5, ge=0, le=50, description="Passages in the prompt for one question.")
    passage_tokens: int = Field(1200, ge=0, description="Tokens of passages and attachments together in a prompt.")
    when_nothing_found: Literal["refuse", "answer"] = Field(
        "refuse",
        description="When no document supports a first question: refuse and say where Hearth looked, or let the"
        " model answer.",
    )
    search_timeout_s: float = Field(
        20.0, gt=0, description="Time limit for a search, in seconds; after it the model answers without passages."
    )
    generation_stall_timeout_s: float = Field(
        600.0,
        gt=0,
        description="Seconds without output, prompt computation included, after which an answer is given up.",
    )
    send_timeout_s: float = Field(
        60.0, gt=0, description="Time limit, in seconds, for a platform to accept the final text."
    )
    shutdown_grace_s: float = Field(
        5.0, ge=0, description="Time, in seconds, that running answers get to finish when Hearth is stopped."
    )
