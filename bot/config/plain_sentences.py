"""Sentences of pydantic's errors in plain words: what a value must be, without the library's types."""

from collections.abc import Mapping
from typing import Any

from pydantic_core import ErrorDetails

from bot.openai.settings import ENVIRONMENT_NAME_ERROR

_A_LIST = "must be a list: write each entry on a line of its own after `- `, or all of them as [a, b]"
_A_SECTION = "must be lines of `key: value` below this key"
_A_NUMBER = "must be a number"
_A_WHOLE_NUMBER = "must be a whole number"
_YES_OR_NO = "must be true or false"
_TEXT = "must be text; put it in quotes"
_SENTENCES: Mapping[str, str] = {
    "tuple_type": _A_LIST,
    "list_type": _A_LIST,
    "set_type": _A_LIST,
    "frozen_set_type": _A_LIST,
    "iterable_type": _A_LIST,
    "dict_type": _A_SECTION,
    "mapping_type": _A_SECTION,
    "model_type": _A_SECTION,
    "model_attributes_type": _A_SECTION,
    "dataclass_type": _A_SECTION,
    "int_type": _A_WHOLE_NUMBER,
    "int_parsing": _A_WHOLE_NUMBER,
    "int_parsing_size": "is too large a number",
    "int_from_float": _A_WHOLE_NUMBER,
    "float_type": _A_NUMBER,
    "float_parsing": _A_NUMBER,
    "finite_number": "must be a finite number",
    "bool_type": _YES_OR_NO,
    "bool_parsing": _YES_OR_NO,
    "string_type": _TEXT,
    "path_type": "must be a path; put it in quotes",
    "string_pattern_mismatch": "does not have the form that is needed here",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "union_tag_invalid": "must be one of {expected_tags}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "may have at most {max_length} characters",
    "too_short": "must have at least {min_length} entries",
    "too_long": "may have at most {max_length} entries",
}


def plain_sentence(detail: ErrorDetails) -> str:
    """The fault of a value as the end of a sentence, without the value and the full stop."""
    if detail["type"] in ("string_too_short", "too_short") and detail["ctx"]["min_length"] == 1:
        return "must not be empty"
    if detail["type"] in _SENTENCES:
        if detail["input"] is None and detail["type"] not in ("literal_error", "union_tag_invalid"):
            return "is empty: write a value, or leave the key out. A value that begins with ~ or # must be in quotes"
        return _SENTENCES[detail["type"]].format(**detail.get("ctx", {}))
    return detail["msg"].removeprefix("Value error, ").removeprefix("Input ")


def found_value(detail: ErrorDetails) -> str:
    """The value in the file, when it is short, plain, and cannot be a misplaced secret."""
    value, key = detail["input"], str(detail["loc"][-1]) if detail["loc"] else ""
    if detail["type"] == ENVIRONMENT_NAME_ERROR or key.endswith("_env"):
        return ""
    if value is None or isinstance(value, Mapping | list | tuple) or len(str(value)) > 60:
        return ""
    if "://" in str(value) and "@" in str(value):  # an address with a password
        return ""
    return f", not {_as_in_yaml(value)}"


def _as_in_yaml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)
