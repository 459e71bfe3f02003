"""How the model runs, as lines for people."""

from collections.abc import Iterator

from bot.core.texts import Language, localize
from models.engine import EngineReport

_MEGABYTE = 1_000_000


def engine_lines(report: EngineReport, language: Language) -> Iterator[str]:
    """The settings and figures of a running model, a line each; empty for an engine without a report."""
    if report.all_layers:
        yield localize("engine_layers", language, on_card=report.gpu_layers, layers=report.all_layers)
        yield localize(
            "engine_cache",
            language,
            used=report.kv_used_bytes // _MEGABYTE,
            whole=report.kv_bytes // _MEGABYTE,
            threads=report.threads,
            all_threads=report.all_threads,
            flash=localize("engine_on" if report.flash_attention else "engine_off", language),
        )
        yield localize(
            "engine_steps", language, together=report.replies_together or "–", chunk=report.chunk_tokens or "–"
        )
        yield _speculation(report, language)
        yield localize("engine_deterministic" if report.is_deterministic else "engine_fast", language)
    if report.build:
        yield localize("engine_build", language, build=report.build, template=report.template)


def _speculation(report: EngineReport, language: Language) -> str:
    if not report.draft_tokens:
        return localize("engine_no_drafts", language)
    if not report.draft_gain:
        return localize("engine_drafts", language, tokens=report.draft_tokens)
    return localize("engine_drafts_gain", language, tokens=report.draft_tokens, gain=f"{report.draft_gain:.2f}")
