"""Chat completion requests: validation, and translation to turns and sampling."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from bot.openai.errors import RequestError
from bot.openai.messages import ChatMessage, split_reply_start, to_turns
from bot.openai.tools import ToolDefinition, require_functions, to_toolbox
from models.engine import ReasoningEffort, Sampling, Turn
from models.tool_calls import Toolbox

Parsed = TypeVar("Parsed", bound=BaseModel)
ANY_OBJECT: Mapping[str, Any] = {"type": "object"}
NOT_APPLIED: Mapping[str, Any] = {
    "audio": None,
    "best_of": 1,
    "dry_multiplier": 0,
    "echo": False,
    "function_call": "none",
    "functions": None,
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
    tools: list[ToolDefinition] | None = None
    tool_choice: Any = None
    parallel_tool_calls: bool | None = None
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
        """The conversation as turns, as `messages.to_turns`, and the beginning of the answer. Raises RequestError."""
        messages, reply_start = split_reply_start(
            self.messages, self.continue_final_message, self.add_generation_prompt
        )
        if reply_start and self._schema() is not None:
            sentence = "An answer that has begun with a last message of the assistant follows no schema: leave one out."
            raise RequestError(400, sentence, "response_format", "unsupported_parameter")
        return to_turns(messages), reply_start

    def to_toolbox(self) -> Toolbox | None:
        """The tools that may be called; None for none. Raises RequestError."""
        return to_toolbox(
            require_functions(self.tools or ()), self.tool_choice, is_parallel=self.parallel_tool_calls is not False
        )

    def _unsupported(self) -> Sequence[tuple[str, bool, str]]:
        has_others = bool(set(self.chat_template_kwargs or ()) - {_ENABLE_THINKING})
        sentence = f"Of chat_template_kwargs only {_ENABLE_THINKING} is applied: leave the others out."
        return (*super()._unsupported(), ("chat_template_kwargs", has_others, sentence))


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
        raise invalid_field(error) from None


def invalid_field(error: ValidationError, where: str = "") -> RequestError:
    """The error for a field that is not valid, which may be a part of the field `where`."""
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    # A field of several possible types has one fault for each; the deepest is the most specific.
    fault = max(faults, key=lambda fault: len(fault["loc"]))
    param = (where + "".join(map(_step, fault["loc"]))).lstrip(".")
    return RequestError(400, f"{param or 'The request'}: {fault['msg']}.", param or None)


def _step(part: int | str) -> str:
    """A step of the path to a field; empty for the names that pydantic gives to the types it tried."""
    if isinstance(part, int):
        return f"[{part}]"
    return "" if part == "str" or part.startswith("list[") else f".{part}"


def wants_footer(parsed: AnswerRequest) -> bool:
    """Whether sources are added below the text; they would break JSON."""
    return parsed.response_format is None or parsed.response_format.type == "text"
