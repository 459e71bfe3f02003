"""What an answer cost, in the figures that people and metrics are told."""

from dataclasses import replace

from bot.core.messages import Timings
from models.engine import Usage


def with_usage(timings: Timings, usage: Usage | None) -> Timings:
    """The timings with an answer's tokens; as they are where no model ran."""
    if usage is None:
        return timings
    return replace(
        timings,
        prompt_tokens=usage.prompt_tokens,
        prefilled_tokens=usage.prefilled_tokens,
        reused_tokens=usage.reused_tokens,
        generated_tokens=usage.generated_tokens,
        tokens_per_s=usage.tokens_per_s,
    )
