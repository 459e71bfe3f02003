"""Index report: the result of a reindex in sentences for people."""

from collections.abc import Iterator

from bot.core.texts import Language, localize
from knowledge.passages import ReindexReport

FAILURES_SHOWN = 10
KINDS_SHOWN = 5


def report_text(report: ReindexReport, language: Language, prefix: str) -> str:
    """Counts, what was left out, what failed, and what is to be confirmed; `prefix` is that of commands."""
    counts = localize(
        "reindex_done",
        language,
        seconds=round(report.took_s, 1),
        added=report.added,
        changed=report.changed,
        removed=report.removed,
        unchanged=report.unchanged,
        failed=len(report.failed),
    )
    parts = (
        _left_out_lines(report, language),
        _failure_lines(report, language),
        _withheld_lines(report, language, prefix),
    )
    return "\n".join([counts, *(line for part in parts for line in part)])


def _left_out_lines(report: ReindexReport, language: Language) -> Iterator[str]:
    kinds = list(report.left_out.items())
    if kinds:
        named = ", ".join(f"{count} {kind or '?'}" for kind, count in kinds[:KINDS_SHOWN])
        more = ", …" if len(kinds) > KINDS_SHOWN else ""
        yield localize("reindex_left_out", language, count=sum(report.left_out.values()), kinds=named + more)


def _failure_lines(report: ReindexReport, language: Language) -> Iterator[str]:
    for failure in report.failed[:FAILURES_SHOWN]:
        document = f"{failure.collection}/{failure.document}"
        yield localize("reindex_failure", language, document=document, reason=failure.reason)
    more = len(report.failed) - FAILURES_SHOWN
    if more > 0:
        yield localize("reindex_more_failures", language, count=more)


def _withheld_lines(report: ReindexReport, language: Language, prefix: str) -> Iterator[str]:
    for withheld in report.withheld:
        key = f"reindex_{withheld.cause}"
        yield localize(key, language, collection=withheld.collection, documents=withheld.documents)
    if report.withheld:
        yield localize("reindex_confirm", language, prefix=prefix)
