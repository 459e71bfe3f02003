"""Index report: the result of a reindex in sentences for people."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from bot.core.texts import Language, localize
from knowledge.passages import FailedDocument, LeftOut, LeftOutCause, ReindexReport

FAILURES_SHOWN = 10
NAMES_SHOWN = 5


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
        left_out_lines(report.left_out, language),
        _document_lines(report.failed, "reindex_failure", "reindex_more_failures", language),
        _document_lines(report.partly_read, "reindex_partly_read", "reindex_more_partly_read", language),
        _withheld_lines(report, language, prefix),
    )
    return "\n".join([counts, *(line for part in parts for line in part)])


def left_out_lines(left_out: Iterable[LeftOut], language: Language) -> Iterator[str]:
    """What was left out, a sentence for each cause, with the number of entries and the most frequent names."""
    by_cause: dict[LeftOutCause, Counter[str]] = {}
    for each in left_out:
        name = f"{each.collection}/{each.name}" if each.cause == "link" and each.name else each.name
        by_cause.setdefault(each.cause, Counter())[name] += each.count
    for cause, names in sorted(by_cause.items()):
        yield localize(f"left_out_{cause}", language, count=names.total(), names=_most_frequent(names, cause, language))


def _most_frequent(names: Counter[str], cause: LeftOutCause, language: Language) -> str:
    if cause == "link":
        shown = [name or "…" for name, _ in names.most_common(NAMES_SHOWN)]
    else:
        nameless = localize("left_out_nameless", language)
        shown = [f"{count} {name or nameless}" for name, count in names.most_common(NAMES_SHOWN)]
    return ", ".join(shown) + (", …" if len(names) > NAMES_SHOWN else "")


def _document_lines(found: Sequence[FailedDocument], key: str, more_key: str, language: Language) -> Iterator[str]:
    """A line for each of the first documents, with its reason, and the number of the others."""
    for each in found[:FAILURES_SHOWN]:
        yield localize(key, language, document=f"{each.collection}/{each.document}", reason=each.reason)
    more = len(found) - FAILURES_SHOWN
    if more > 0:
        yield localize(more_key, language, count=more)


def _withheld_lines(report: ReindexReport, language: Language, prefix: str) -> Iterator[str]:
    for withheld in report.withheld:
        key = f"reindex_{withheld.cause}"
        yield localize(key, language, collection=withheld.collection, documents=withheld.documents)
    if report.withheld:
        yield localize("reindex_confirm", language, prefix=prefix)
