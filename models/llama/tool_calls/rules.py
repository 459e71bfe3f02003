"""The rules of the calls in one reply: the grammars that bind them, and the tokens that are their marks."""

from collections.abc import Mapping
from dataclasses import dataclass

from models.engine import Sampling
from models.llama.tool_calls.grammar import (
    arguments_grammar,
    called_tools,
    calls_grammar,
    calls_or_json_grammar,
    further_grammar,
)
from models.llama.tool_calls.parser import CallParser, CallTrigger
from models.llama.tool_calls.syntax import HARMONY, CallSyntax
from models.thinking_marks import MESSAGE
from models.tool_calls import Toolbox


@dataclass(frozen=True, slots=True)
class CallRules:
    """`grammar` binds the whole reply, `tokens` are the special tokens in calls with their texts as bytes."""

    toolbox: Toolbox
    syntax: CallSyntax
    grammar: str | None
    tokens: Mapping[int, bytes]

    @classmethod
    def of_reply(
        cls, toolbox: Toolbox, syntax: CallSyntax, sampling: Sampling, special_tokens: Mapping[str, int]
    ) -> "CallRules":
        """The rules for a toolbox and a model. Raises SchemaRefused for the faults of the answer's schema."""
        grammar = None
        if syntax is not HARMONY and toolbox.choice == "required":
            grammar = calls_grammar(toolbox, syntax)
        elif syntax is not HARMONY and sampling.json_schema is not None:
            grammar = calls_or_json_grammar(toolbox, syntax, sampling.json_schema)
        return cls(toolbox, syntax, grammar, _mark_tokens(special_tokens, syntax))

    def new_parser(self) -> CallParser:
        """A parser for the reply."""
        return CallParser(self.toolbox, self.syntax, is_bound=self.grammar is not None)

    def grammar_of(self, trigger: CallTrigger) -> str:
        """The grammar of a call that has begun."""
        if trigger.tool is not None:
            return arguments_grammar(trigger.tool)
        return further_grammar(self.toolbox, self.syntax)

    @property
    def forced_text(self) -> str:
        """The beginning of a reply that must be a call, where no grammar can demand it: the header of gpt-oss."""
        if self.syntax is not HARMONY or self.toolbox.choice != "required":
            return ""
        tools = called_tools(self.toolbox)
        return HARMONY.opening + (f"{tools[0].name} <|constrain|>json{MESSAGE}" if len(tools) == 1 else "")


def _mark_tokens(special_tokens: Mapping[str, int], syntax: CallSyntax) -> dict[int, bytes]:
    marks = [mark for mark in syntax.marks if mark]
    return {token: text.encode() for text, token in special_tokens.items() if any(text in mark for mark in marks)}
