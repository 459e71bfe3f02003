"""The commands of all platforms, in one table."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bot.core.access import readable_collections
from bot.core.errors import ReplyFailed, is_user_facing
from bot.core.forgetting import Forgetter, Forgotten
from bot.core.history import History
from bot.core.messages import ConversationId, FinalAnswer, Message, Source
from bot.core.ports import Reply
from bot.core.prompt_building import location_text
from bot.core.stats import Stats
from bot.core.texts import Language, localize
from knowledge.library import Library, ReindexRunning
from knowledge.passages import ReindexProgress, ReindexReport
from models.engine import Engine

FAILURES_SHOWN = 10
PROGRESS_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class CommandCall:
    """A command with its argument, and the reply for its result."""

    message: Message
    argument: str
    language: Language
    reply: Reply


class AnswerStopper(Protocol):
    """Stops answers (a part of the dispatcher)."""

    async def stop(self, conversation: ConversationId, person_id: str | None = None) -> int:
        """Stop answers of a conversation."""
        ...

    async def stop_person(self, person_id: str) -> int:
        """Stop all of a person's answers."""
        ...


@dataclass(frozen=True, slots=True)
class Command:
    """A row of the table. `aliases` are the words for it in a message; `run` returns the reply."""

    name: str
    aliases: tuple[str, ...]
    run: Callable[[CommandCall], Awaitable[FinalAnswer]]
    admins_only: bool = False


class Commands:
    """The commands, bound to the objects they act on."""

    def __init__(
        self, *, library: Library, engine: Engine, history: History, stats: Stats, stopper: AnswerStopper, prefix: str
    ) -> None:
        self._library = library
        self._history = history
        self._forgetter = Forgetter(history, engine)
        self._stats_source = stats
        self._stopper = stopper
        self._prefix = prefix
        rows = (
            Command("ask", ("ask",), self._help),  # triage turns it into an answer when it has a question
            Command("help", ("help", "aide"), self._help),
            Command("sources", ("sources",), self._sources),
            Command("stop", ("stop", "arrête"), self._stop),
            Command("stats", ("stats",), self._stats, admins_only=True),
            Command("forget", ("forget", "oublie"), self._forget),
            Command("reindex", ("reindex", "réindexe"), self._reindex, admins_only=True),
        )
        self.by_name: Mapping[str, Command] = {row.name: row for row in rows}
        self.names_by_alias: Mapping[str, str] = {word: row.name for row in rows for word in row.aliases}

    async def run(self, name: str, call: CommandCall) -> FinalAnswer:
        """Run a command; the reply. A command for admins is refused with a sentence to others."""
        command = self.by_name[name]
        if command.admins_only and not call.message.author.is_admin:
            return FinalAnswer(localize("not_admin", call.language, command=self._prefix + name))
        return await command.run(call)

    async def _help(self, call: CommandCall) -> FinalAnswer:
        lines = [
            localize(
                "help_line",
                call.language,
                prefix=self._prefix,
                name=name,
                summary=localize(f"help_{name}", call.language),
            )
            for name in self.by_name
        ]
        return FinalAnswer(localize("help", call.language, prefix=self._prefix, commands="\n".join(lines)))

    async def _stop(self, call: CommandCall) -> FinalAnswer:
        author = call.message.author
        stopped = await self._stopper.stop(call.message.conversation, None if author.is_admin else author.id)
        key = "stopped_count" if stopped else "nothing_to_stop"
        return FinalAnswer(localize(key, call.language, count=stopped))

    async def _sources(self, call: CommandCall) -> FinalAnswer:
        message = call.message
        place = (message.conversation, message.audience, message.author.id)
        sources = await self._history.last_sources(*place, call.argument)
        if sources is None and call.argument:  # the argument was not an answer's id
            sources = await self._history.last_sources(*place)
        if sources is None:
            return FinalAnswer(localize("no_answer_yet", call.language))
        # Checked again: the audience's access may have changed since the answer. Attachments belong to no collection;
        # who may read an answer may read those of its question.
        allowed = readable_collections(self._library.readers, message.audience) | {""}
        sources = tuple(source for source in sources if source.collection in allowed)
        if not sources:
            return FinalAnswer(localize("no_sources", call.language))
        lines = [
            localize("sources_title", call.language),
            *(_quote_source(source, call.language) for source in sources),
        ]
        return FinalAnswer("\n\n".join(lines))

    async def _stats(self, call: CommandCall) -> FinalAnswer:
        text = await self._stats_source.stats_text(call.language, call.message.platform)
        return FinalAnswer(text, pictures=await self._stats_source.chart_pictures(call.language))

    async def _forget(self, call: CommandCall) -> FinalAnswer:
        message, argument = call.message, call.argument.casefold()
        if not argument:
            await self._stopper.stop_person(message.author.id)
            return _forgotten_answer(await self._forgetter.forget_person(message.author.id), call.language)
        if argument in ("conversation", "all", "tout"):
            if not (message.audience.private or message.author.is_admin):
                return FinalAnswer(localize("forget_conversation_refused", call.language))
            await self._stopper.stop(message.conversation)
            return _forgotten_answer(await self._forgetter.forget_conversation(message.conversation), call.language)
        if argument in ("programs", "programmes"):
            if not message.author.is_admin:
                return FinalAnswer(localize("not_admin", call.language, command=f"{self._prefix}forget programs"))
            return _forgotten_answer(await self._forgetter.forget_programs(), call.language)
        return FinalAnswer(localize("forget_unknown", call.language))

    async def _reindex(self, call: CommandCall) -> FinalAnswer:
        newest: list[ReindexProgress] = []
        work = asyncio.create_task(self._library.reindex(on_progress=newest.append))
        try:
            while not (await asyncio.wait({work}, timeout=PROGRESS_EVERY_S))[0]:
                if newest:
                    await call.reply.replace(_progress_text(newest[-1], call.language))
                    newest.clear()
            return FinalAnswer(_report_text(work.result(), call.language))
        except ReindexRunning:
            return FinalAnswer(localize("reindex_running", call.language))
        except ReplyFailed:
            raise
        except Exception as error:
            if not is_user_facing(error):
                raise
            return FinalAnswer(localize("reindex_failed", call.language, reason=error))
        finally:
            work.cancel()


def _forgotten_answer(forgotten: Forgotten, language: Language) -> FinalAnswer:
    text = localize(
        "forgotten",
        language,
        questions=forgotten.erased.questions,
        turns=forgotten.erased.turns,
        attachments=forgotten.erased.attachments,
        kilobytes=forgotten.states.size_bytes // 1024,
    )
    note = localize("forgotten_states_pending", language) if forgotten.states.pending else ""
    return FinalAnswer(text, note=note)


def _quote_source(source: Source, language: Language) -> str:
    location = " › ".join(part for part in (source.document, location_text(source.place)) if part)
    title = localize("source_line", language, number=source.number, place=location, collection=source.collection)
    return "\n".join([title, *(f"> {line}" for line in source.text.splitlines())])


def _progress_text(progress: ReindexProgress, language: Language) -> str:
    return localize(
        f"reindex_{progress.phase}", language, done=progress.done, total=progress.total, document=progress.document
    )


def _report_text(report: ReindexReport, language: Language) -> str:
    text = localize(
        "reindex_done",
        language,
        seconds=round(report.took_s, 1),
        added=report.added,
        changed=report.changed,
        removed=report.removed,
        unchanged=report.unchanged,
        failed=len(report.failed),
    )
    lines: Sequence[str] = [
        localize(
            "reindex_failure", language, document=f"{failure.collection}/{failure.document}", reason=failure.reason
        )
        for failure in report.failed[:FAILURES_SHOWN]
    ]
    more = len(report.failed) - FAILURES_SHOWN
    rest = [localize("reindex_more_failures", language, count=more)] if more > 0 else []
    return "\n".join([text, *lines, *rest])
