"""Settings of the core: whom it answers, how long people wait, how much it remembers."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class PeopleSettings(BaseModel):
    """People whom Hearth never answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    block: tuple[str, ...] = Field((), description="Ids of people who never get an answer.")


class CoreSettings(BaseModel):
    """How conversations are held."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field("Hearth", min_length=1, max_length=80, description="What the assistant calls itself.")
    language: Literal["auto", "en", "fr"] = Field(
        "auto",
        description="Language of Hearth's own sentences; auto follows the first clear message of a conversation.",
    )
    instructions: str = Field(
        "", max_length=8000, description="Added to the system prompt: what the assistant should know about your home."
    )
    command_prefix: str = Field("!", min_length=1, max_length=5, description="What commands start with in a message.")
    people: PeopleSettings = Field(
        default_factory=PeopleSettings, description="Who is never answered, on any platform."
    )
    question_characters: int = Field(20_000, ge=100, description="Longer questions are refused with a sentence.")
    open_questions_per_person: int = Field(5, ge=1, description="Questions one person may have open at the same time.")
    queue_notice_after_s: float = Field(
        2.0, ge=0, description="Seconds of waiting after which the place in the queue is told."
    )
    flood_answers_per_minute: int = Field(
        20, ge=1, description="More answers a minute in one conversation pause it (bridges can echo bots)."
    )
    flood_pause_s: float = Field(300.0, gt=0, description="Seconds such a pause lasts.")
    history_tokens: int = Field(
        1200, ge=0, description="Tokens of earlier turns in a prompt; older halves are dropped."
    )
    prompt_passages: int = Field(5, ge=0, le=50, description="Passages put in front of the model for one question.")
    passage_tokens: int = Field(1200, ge=0, description="Tokens that passages and attachments may take together.")
    when_nothing_found: Literal["refuse", "answer"] = Field(
        "refuse",
        description="A first question that no document supports: say so and where was looked, or let the model answer.",
    )
    search_timeout_s: float = Field(
        20.0, gt=0, description="Seconds a search may take before the answer goes on without."
    )
    generation_stall_timeout_s: float = Field(
        600.0,
        gt=0,
        description="Seconds the model may stay silent, reading a long prompt included, before it is given up.",
    )
    send_timeout_s: float = Field(60.0, gt=0, description="Seconds a platform may take to accept a final text.")
    shutdown_grace_s: float = Field(
        5.0, ge=0, description="Seconds that running answers get to end when Hearth is stopped."
    )
