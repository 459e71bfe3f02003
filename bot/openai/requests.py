"""Chat completion requests: validation, and translation to turns and sampling."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from bot.openai.errors import RequestError
from models.engine import ReasoningEffort, Role, Sampling, Turn

Parsed = TypeVar("Parsed", bound=BaseModel)
ROLES: Mapping[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
ANY_OBJECT: Mapping[str, Any] = {"type": "object"}
UNFORCED_TOOL_CHOICES = (None, "none", "auto")
NOT_APPLIED: Mapping[str, Any] = {
    "audio": None,
    "best_of": 1,
    "dry_multiplier": 0,
    "echo": False,
    "grammar": None,
    "guided_choice": None,
    "guided_grammar": None,
    "guided_json": None,
    "guided_regex": None,
    "ignore_eos": False,
    "json_schema": None,
    "min_tokens": 0,
    "mirostat": 0,
    "modalities": ["text"],
    "structured_outputs": None,
    "suffix": None,
    "tfs_z": 1,
    "top_a": 0,
    "top_logprobs": 0,
    "typical_p": 1,
    "verbosity": "medium",
    "web_search_options": None,
    "xtc_probability": 0,
}
"""Parameters of OpenAI, llama.cpp's server and vLLM that would change the answer and are not applied, with the value
that changes nothing. Many clients send that value, or an empty one, by habit."""

MAX_STOPS = 16
_ENABLE_THINKING = "enable_thinking"
MAX_MESSAGES = 4096
"""More than any home's context holds; validating 60,000 blocks the event loop for a second."""

MAX_BIASED_TOKENS = 1024
MAX_BIAS = 100.0
"""OpenAI's limit: such a bias forbids a token, or demands it."""

TokenId = Annotated[int, Field(ge=0)]
Bias = Annotated[float, Field(allow_inf_nan=False)]


class NullsAsMissing(BaseModel):
    """A model in which null means that a field is missing, as OpenAI's clients send it."""

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, fields: Any) -> Any:
        return (
            {name: value for name, value in fields.items() if value is not None} if isinstance(fields, dict) else fields
        )


class TextPart(BaseModel):
    """A content part of a message."""

    type: str
    text: str | None = None


class ChatMessage(BaseModel):
    """A message of the conversation."""

    role: str
    content: str | list[TextPart] | None = None


class JsonSchema(BaseModel):
    """The JSON schema of the answer."""

    model_config = ConfigDict(populate_by_name=True)

    json_schema: dict[str, Any] = Field(alias="schema", default_factory=dict)


class ResponseFormat(BaseModel):
    """The answer's format: text, any JSON object, or JSON that follows a schema."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class StreamOptions(NullsAsMissing):
    """Options of a streamed answer."""

    include_usage: bool = False


class AnswerRequest(NullsAsMissing):
    """The fields that all requests for an answer have. Unknown ones are ignored, except those of `NOT_APPLIED`."""

    model_config = ConfigDict(extra="allow")

    input_field: ClassVar[str]
    """The field with the prompt."""

    model: str
    stream: bool = False
    stream_options: StreamOptions | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    response_format: ResponseFormat | None = None
    n: int | None = None
    logprobs: bool | int | None = None
    logit_bias: dict[TokenId, Bias] | None = Field(None, max_length=MAX_BIASED_TOKENS)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    top_k: int | None = Field(None, ge=0)
    min_p: float | None = Field(None, ge=0, le=1)
    repeat_penalty: float | None = Field(
        None, ge=0.5, le=2, validation_alias=AliasChoices("repeat_penalty", "repetition_penalty")
    )

    @field_validator("logit_bias", mode="before")
    @classmethod
    def _without_empty_bias(cls, bias: Any) -> Any:
        return bias or None  # an empty object of PHP is []

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with the token usage."""
        return self.stream_options is not None and self.stream_options.include_usage

    def to_sampling(self, defaults: Sampling, max_tokens: int) -> Sampling:
        """The sampling of the answer; `defaults` fill in missing fields. Raises RequestError."""
        wanted = self.max_completion_tokens or self.max_tokens or defaults.max_tokens
        return Sampling(
            temperature=defaults.temperature if self.temperature is None else self.temperature,
            top_p=defaults.top_p if self.top_p is None else self.top_p,
            top_k=defaults.top_k if self.top_k is None else self.top_k,
            min_p=defaults.min_p if self.min_p is None else self.min_p,
            frequency_penalty=self.frequency_penalty or 0.0,
            presence_penalty=self.presence_penalty or 0.0,
            repeat_penalty=defaults.repeat_penalty if self.repeat_penalty is None else self.repeat_penalty,
            seed=self.seed,
            max_tokens=min(wanted, max_tokens),
            stop=self._stops(),
            json_schema=self._schema(),
            logit_bias={token: max(-MAX_BIAS, min(MAX_BIAS, bias)) for token, bias in (self.logit_bias or {}).items()},
        )

    def reject_unsupported(self) -> None:
        """Raise RequestError for unsupported fields that would change the answer."""
        for param, is_set, sentence in self._unsupported():
            if is_set:
                raise RequestError(400, sentence, param, "unsupported_parameter")

    def _unsupported(self) -> Sequence[tuple[str, bool, str]]:
        """Fields that are not applied, whether they ask for something, and what the client is told."""
        return (
            ("n", self.n not in (None, 1), "One answer is made for each request: leave n out."),
            ("logprobs", bool(self.logprobs), "Probabilities are not told: leave logprobs out."),
            *(
                (name, _is_set(value, NOT_APPLIED[name]), f"{name} is not applied here: leave it out.")
                for name, value in (self.model_extra or {}).items()
                if name in NOT_APPLIED
            ),
        )

    def _stops(self) -> tuple[str, ...]:
        stops = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        if len(stops) > MAX_STOPS:
            raise RequestError(400, f"{len(stops)} stop strings are too many; {MAX_STOPS} are taken.", "stop")
        return tuple(stop for stop in stops if stop)

    def _schema(self) -> Mapping[str, Any] | None:
        wanted = self.response_format
        if wanted is None or wanted.type == "text":
            return None
        if wanted.type == "json_object":
            return ANY_OBJECT
        if wanted.json_schema is None or not wanted.json_schema.json_schema:
            raise RequestError(400, "A schema is missing: json_schema.schema.", "response_format.json_schema.schema")
        return wanted.json_schema.json_schema


class ChatCompletionRequest(AnswerRequest):
    """A request for the answer to a conversation."""

    input_field = "messages"

    messages: list[ChatMessage] = Field(min_length=1, max_length=MAX_MESSAGES)
    tool_choice: Any = None
    function_call: Any = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high"] | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    continue_final_message: bool | None = None
    add_generation_prompt: bool | None = None

    @property
    def effort(self) -> ReasoningEffort | None:
        """How much the model may think before it answers; None: as the settings say."""
        if self.reasoning_effort is not None:
            return "low" if self.reasoning_effort == "minimal" else self.reasoning_effort
        wanted = (self.chat_template_kwargs or {}).get(_ENABLE_THINKING)
        return None if wanted is None else "medium" if wanted else "none"

    def to_turns(self) -> tuple[tuple[Turn, ...], str]:
        """The conversation as turns, of which the last one is a user's, and the beginning of the answer, which is a
        last message of the assistant's. Raises RequestError for other conversations.
        """
        turns = tuple(_turn(message, f"messages[{number}]") for number, message in enumerate(self.messages))
        reply_start = ""
        if self._is_reply_begun(turns[-1].role):
            turns, reply_start = turns[:-1], turns[-1].text
        spoken = [turn for turn in turns if turn.role != "system"]
        if not spoken or spoken[-1].role != "user":
            sentence = "The last message must be a user's, which is answered, or the beginning of the answer to one."
            raise RequestError(400, sentence, "messages")
        if reply_start and self._schema() is not None:
            sentence = "An answer that has begun with a last message of the assistant follows no schema: leave one out."
            raise RequestError(400, sentence, "response_format", "unsupported_parameter")
        return turns, reply_start

    def _is_reply_begun(self, last_role: Role) -> bool:
        """Whether the last message is the beginning of the answer. vLLM and llama.cpp's server have fields for that."""
        continues, adds = self.continue_final_message, self.add_generation_prompt
        if continues is not None and continues == adds:
            sentence = "continue_final_message and add_generation_prompt contradict each other: leave one out."
            raise RequestError(400, sentence, "continue_final_message")
        is_continued = continues if continues is not None else None if adds is None else not adds
        if is_continued and last_role != "assistant":
            param = "add_generation_prompt" if continues is None else "continue_final_message"
            raise RequestError(400, f"With {param} the last message must be the assistant's.", param)
        return last_role == "assistant" if is_continued is None else is_continued

    def _unsupported(self) -> Sequence[tuple[str, bool, str]]:
        return (
            *super()._unsupported(),
            # Front ends offer tools with every question; only a forced call cannot be answered.
            (
                "tool_choice",
                self.tool_choice not in UNFORCED_TOOL_CHOICES,
                "Tools are not called here: leave tool_choice out.",
            ),
            (
                "function_call",
                self.function_call not in UNFORCED_TOOL_CHOICES,
                "Functions are not called here: leave it out.",
            ),
            (
                "chat_template_kwargs",
                bool(set(self.chat_template_kwargs or ()) - {_ENABLE_THINKING}),
                f"Of chat_template_kwargs only {_ENABLE_THINKING} is applied: leave the others out.",
            ),
        )


def _is_set(value: Any, neutral: Any) -> bool:
    """Whether a value asks for something; false, zero and empty ones do not."""
    return bool(value) and value != neutral


def parse_request(body: bytes) -> ChatCompletionRequest:
    """Parse a chat completion request from JSON. Raises RequestError, naming the faulty field."""
    return parse_body(ChatCompletionRequest, body)


def parse_body(kind: type[Parsed], body: bytes) -> Parsed:
    """Parse a request of any kind from JSON. Raises RequestError, naming the faulty field."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        # A field of several possible types has one fault for each; the deepest is the most specific.
        fault = max(faults, key=lambda fault: len(fault["loc"]))
        param = "".join(map(_step, fault["loc"])).lstrip(".")
        raise RequestError(400, f"{param or 'The request'}: {fault['msg']}.", param or None) from None


def _step(part: int | str) -> str:
    """A step of the path to a field; empty for the names that pydantic gives to the types it tried."""
    if isinstance(part, int):
        return f"[{part}]"
    return "" if part == "str" or part.startswith("list[") else f".{part}"


def _turn(message: ChatMessage, param: str) -> Turn:
    role = ROLES.get(message.role)
    if role is None:
        raise RequestError(400, f"The role {message.role[:40]!r} is not known here.", f"{param}.role")
    if isinstance(message.content, str) or message.content is None:
        return Turn(role, message.content or "")
    other = next((part.type for part in message.content if part.type != "text"), None)
    if other is not None:
        raise RequestError(400, f"This model reads text only, no {other[:40]!r}.", f"{param}.content")
    return Turn(role, "\n".join(part.text or "" for part in message.content))
