"""Requests to /v1/responses: validation, and translation to chat completion requests."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bot.openai.errors import RequestError
from bot.openai.messages import ChatMessage, TextPart
from bot.openai.requests import (
    MAX_MESSAGES,
    ChatCompletionRequest,
    JsonSchema,
    NullsAsMissing,
    ResponseFormat,
    invalid_field,
)
from bot.openai.tools import FunctionCall, FunctionDefinition, MessageCall, ToolDefinition, refuse_kind
from models.engine import Sampling

Json = dict[str, Any]

NOT_KEPT: Mapping[str, str] = {
    "previous_response_id": "Answers are not kept here: send the whole conversation as input.",
    "conversation": "Conversations are not kept here: send the whole conversation as input.",
    "background": "Answers are not made in the background here: leave background out.",
    "prompt": "No prompts are kept here: send instructions and input.",
    "max_tool_calls": "max_tool_calls is not applied here: leave it out.",
    "top_logprobs": "Probabilities are not told: leave top_logprobs out.",
}
"""Fields that would change the answer and are not applied, with the sentence that refuses them."""


class ResponsesTool(BaseModel):
    """A tool; of functions the definition stands beside the type."""

    model_config = ConfigDict(extra="allow")

    type: str


class TextFormat(BaseModel):
    """The format of the answer's text."""

    model_config = ConfigDict(populate_by_name=True)

    type: Literal["text", "json_object", "json_schema"] = "text"
    name: str | None = None
    json_schema: Json | None = Field(None, alias="schema")


class TextOptions(NullsAsMissing):
    """Options of the answer's text."""

    format: TextFormat = Field(default_factory=TextFormat)


class ReasoningOptions(NullsAsMissing):
    """Options of the thinking."""

    effort: Literal["none", "minimal", "low", "medium", "high"] | None = None


class InputItem(NullsAsMissing):
    """A message, a call, the result of a call, or thinking of an earlier answer."""

    type: str = "message"
    role: str = ""
    content: str | list[TextPart] | None = None
    call_id: str = ""
    name: str = ""
    arguments: str = ""
    output: str | list[TextPart] | None = None


class ResponsesRequest(NullsAsMissing):
    """A request. Unknown fields are ignored, except those of `NOT_KEPT`."""

    model_config = ConfigDict(extra="allow")

    model: str
    input: str | list[InputItem] = Field(max_length=1 << 24)
    instructions: str | None = None
    stream: bool = False
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    max_output_tokens: int | None = Field(None, ge=1)
    tools: list[ResponsesTool] = Field(default_factory=list)
    tool_choice: Any = "auto"
    parallel_tool_calls: bool = True
    text: TextOptions = Field(default_factory=TextOptions)
    reasoning: ReasoningOptions = Field(default_factory=ReasoningOptions)
    metadata: Json = Field(default_factory=dict)

    def reject_unsupported(self) -> None:
        """Raise RequestError for fields that would change the answer and are not applied."""
        for name, sentence in NOT_KEPT.items():
            if (self.model_extra or {}).get(name):
                raise RequestError(400, sentence, name, "unsupported_parameter")

    def to_chat(self) -> ChatCompletionRequest:
        """The same as a chat completion request. Raises RequestError."""
        return ChatCompletionRequest(
            model=self.model,
            messages=self._messages(),
            stream=self.stream,
            temperature=self.temperature,
            top_p=self.top_p,
            max_completion_tokens=self.max_output_tokens,
            response_format=self._response_format(),
            tools=[_to_definition(tool, number) for number, tool in enumerate(self.tools)],
            tool_choice=self.tool_choice,
            parallel_tool_calls=self.parallel_tool_calls,
            reasoning_effort=self.reasoning.effort,
        )

    def described(self, sampling: Sampling) -> Json:
        """The fields of the response that say what was asked."""
        text_format = self.text.format.model_dump(by_alias=True, exclude_none=True)
        return {
            "model": self.model,
            "instructions": self.instructions,
            "max_output_tokens": self.max_output_tokens,
            "metadata": {name: str(value) for name, value in self.metadata.items()},
            "parallel_tool_calls": self.parallel_tool_calls,
            "previous_response_id": None,
            "reasoning": {"effort": self.reasoning.effort, "summary": None},
            "store": False,
            "temperature": sampling.temperature,
            "text": {"format": text_format},
            "tool_choice": self.tool_choice,
            "tools": [{"strict": None, "parameters": None, **tool.model_dump()} for tool in self.tools],
            "top_p": sampling.top_p,
            "truncation": "disabled",
        }

    def _messages(self) -> list[ChatMessage]:
        messages = [ChatMessage(role="system", content=self.instructions)] if self.instructions else []
        if isinstance(self.input, str):
            return [*messages, ChatMessage(role="user", content=self.input)]
        if not 1 <= len(self.input) <= MAX_MESSAGES:
            raise RequestError(400, f"From 1 to {MAX_MESSAGES} items are taken as input.", "input")
        for number, item in enumerate(self.input):
            _add_item(messages, item, number)
        return messages

    def _response_format(self) -> ResponseFormat | None:
        wanted = self.text.format
        if wanted.type != "json_schema":
            return ResponseFormat(type=wanted.type)
        if not wanted.json_schema:
            raise RequestError(400, "A schema is missing: text.format.schema.", "text.format.schema")
        return ResponseFormat(type="json_schema", json_schema=JsonSchema(json_schema=wanted.json_schema))


def _to_definition(tool: ResponsesTool, number: int) -> ToolDefinition:
    if tool.type != "function":
        raise refuse_kind(tool.type, number)
    try:
        return ToolDefinition(type="function", function=FunctionDefinition.model_validate(tool.model_extra))
    except ValidationError as error:
        raise invalid_field(error, f"tools[{number}]") from None


def _add_item(messages: list[ChatMessage], item: InputItem, number: int) -> None:
    """Add an item to the messages; a call belongs to the assistant's message before it."""
    match item.type:
        case "message":
            messages.append(ChatMessage(role=item.role, content=item.content))
        case "function_call":
            call = MessageCall(id=item.call_id, function=FunctionCall(name=item.name, arguments=item.arguments))
            if not messages or messages[-1].role != "assistant":
                messages.append(ChatMessage(role="assistant"))
            messages[-1].tool_calls = [*(messages[-1].tool_calls or ()), call]
        case "function_call_output":
            messages.append(ChatMessage(role="tool", content=item.output, tool_call_id=item.call_id))
        case "reasoning":
            pass  # models are not given their earlier thinking
        case other:
            raise RequestError(400, f"Items of the kind {other[:40]!r} are not read here.", f"input[{number}].type")
