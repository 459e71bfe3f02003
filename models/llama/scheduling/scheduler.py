"""What the `llama` thread does with its jobs: many answers together, step by step, and what waits for quiet moments."""

import time
from dataclasses import dataclass, field

from models.engine import EngineFailed, PromptTooLong, Usage
from models.llama.decoding.draft_length import Speculation
from models.llama.decoding.generation import Generation, room
from models.llama.decoding.prompt_lookup import Guesser
from models.llama.decoding.token_stream import Outbox
from models.llama.kv_cache.cache_keys import Owner, owner_of
from models.llama.kv_cache.chat_template import ChatTemplate
from models.llama.kv_cache.prefix_cache import Resuming, Source
from models.llama.kv_cache.snapshot_store import Entry, Parked
from models.llama.kv_cache.tokenized_prompt import PromptReader, ReadPrompt
from models.llama.loading.loader import Loaded
from models.llama.native.context import Cancelled, DecodeFailed, Run
from models.llama.plan.prefill_chunks import LEAST_CHUNK_TOKENS, chunks, free_end
from models.llama.scheduling.prefill_policy import Moment, Reading, first_of, may_read
from models.llama.scheduling.requests import Forgetting, Job, JobQueue, Preparation, Question
from models.llama.scheduling.throughput import Pace
from models.llama.scheduling.warmup import Preparations
from models.llama.settings import LlamaSettings

# Questions read ahead of their turn, so that the shortest of them can be chosen.
_READ_AHEAD = 4


@dataclass(eq=False, slots=True)
class _Waiting:
    """A question that has no slot yet; `state` is what the disk gave for `entry`."""

    question: Question
    owner: Owner
    prompt: ReadPrompt | None = None
    weight: float = 0.0
    entry: Entry | None = None
    state: memoryview | None = None
    fetching: bool = False


@dataclass(eq=False, slots=True)
class _Running:
    """A question with a slot; `forgotten` when nothing of it may be kept."""

    question: Question
    owner: Owner
    generation: Generation
    number: int
    forgotten: bool = False


@dataclass(eq=False, slots=True)
class _Times:
    """When the running replies were last given a token, and whether the last step read a prompt."""

    written: float = field(default_factory=time.monotonic)
    read_last: bool = False


class Server:
    """One model and its sequences. Every call belongs to the `llama` thread."""

    def __init__(self, loaded: Loaded, settings: LlamaSettings, pace: Pace, parked: Parked, jobs: JobQueue) -> None:
        self._loaded = loaded
        self._settings = settings
        self._context = loaded.context
        self._pace = pace
        self._parked = parked
        self._jobs = jobs
        self._reader = PromptReader(ChatTemplate(loaded.model, settings.thinking))
        # What cannot be cut back goes on exactly where a state was kept, however little is left.
        anywhere = loaded.cut_anywhere or not loaded.context.rewinds
        self._resuming = Resuming(loaded.context, parked, 1 if anywhere else LEAST_CHUNK_TOKENS)
        self._preparations = Preparations(loaded, self._reader, self._resuming, jobs)
        self._speculation = Speculation(loaded.guesses if settings.speculation else 0)
        self._waiting: list[_Waiting] = []
        self._running: list[_Running] = []
        self._times = _Times()
        self._numbers = 0

    @property
    def busy(self) -> bool:
        """Whether there is something to compute now."""
        return bool(self._running) or any(not each.fetching for each in self._waiting) or self._may_prepare

    @property
    def _may_prepare(self) -> bool:
        return not self._running and not self._waiting and self._preparations.pending

    @property
    def unsaved(self) -> bool:
        """Whether something is to be parked when nothing else is to be done."""
        return bool(self._resuming.unsaved)

    def accept(self, job: Job) -> None:
        """Take note of a new job."""
        match job:
            case Question():
                self._preparations.drop(job.ask.key)
                self._waiting.append(_Waiting(job, owner_of(job.ask.key)))
            case Preparation():
                self._preparations.add(job)
            case Forgetting():
                self._preparations.drop(job.key)
                self._forget(job)

    def step(self) -> None:
        """Drop what is no longer wanted, give free slots away, and compute once."""
        self._drop_cancelled()
        self._read_next()
        self._admit()
        reading = [each for each in self._running if each.generation.prefilling]
        # In the order of their sequences: llama.cpp computes others in several goes.
        writing = sorted(
            (each for each in self._running if not each.generation.prefilling),
            key=lambda each: each.generation.slot.sequence,
        )
        if reading and self._may_read(reading, writing):
            self._read_chunk(reading[first_of([self._reading_of(each) for each in reading])], bool(writing))
        elif writing:
            for first in range(0, len(writing), self._loaded.together):
                self._write(writing[first : first + self._loaded.together])
        elif self._may_prepare:
            self._preparations.prepare_one()
        Outbox.tell(each.question.ask.outbox for each in self._running)

    def park_one(self) -> None:
        """Park one slot at rest."""
        for slot in self._resuming.unsaved[:1]:
            self._resuming.park(slot)

    def close(self) -> None:
        """Give everything back, and park what is worth it; who waits was told already."""
        for running in list(self._running):
            self._end(running, None)
        for slot in self._resuming.unsaved:
            self._resuming.park(slot)

    def _drop_cancelled(self) -> None:
        for waiting in [each for each in self._waiting if each.question.flag.is_set]:
            self._turn_away(waiting, None)
        for running in [each for each in self._running if each.question.flag.is_set]:
            self._end(running, None)

    def _turn_away(self, waiting: _Waiting, error: Exception | None) -> None:
        self._waiting.remove(waiting)
        self._pace.left()
        if error is not None:
            waiting.question.ask.outbox.finish(error)
        self._jobs.over(waiting.question)

    def _read_next(self) -> None:
        """Turn one more of the waiting questions into tokens, and have its state fetched from the disk."""
        ahead = self._waiting[: self._context.sequences + _READ_AHEAD]
        waiting = next((each for each in ahead if each.prompt is None), None)
        if waiting is None:
            return
        try:
            self._loaded.model.require_unchanged()
            prompt = self._reader.read(waiting.question.prompt)
            room(len(prompt.tokens), self._context.size_tokens, waiting.question.ask.sampling.max_tokens)
        except (EngineFailed, PromptTooLong) as error:
            self._turn_away(waiting, error)
            return
        waiting.prompt = prompt
        source = self._resuming.source(prompt.tokens, waiting.owner)
        waiting.weight = self._loaded.grid.weight(source.tokens, len(prompt.tokens))
        self._fetch(waiting, source)

    def _fetch(self, waiting: _Waiting, source: Source) -> bool:
        """Have the disk read for a source that is only there; False when there is nothing to wait for."""
        entry = source.entry
        if entry is None or entry is waiting.entry or self._parked.state(entry) is not None:
            return False
        waiting.entry, waiting.fetching = entry, True

        def then(state: memoryview | None) -> None:
            waiting.state, waiting.fetching = state, False
            self._jobs.wake()

        self._parked.fetch(entry, then)
        return waiting.fetching

    def _admit(self) -> None:
        while self._resuming.has_free_slot:
            ready = [each for each in self._waiting if each.prompt is not None and not each.fetching]
            if not ready:
                return
            now = time.monotonic()
            readings = [Reading(self._pace.reading_s(each.weight), now - each.question.ask.asked_at) for each in ready]
            self._start(ready[first_of(readings)])

    def _start(self, waiting: _Waiting) -> None:
        prompt, ask = waiting.prompt, waiting.question.ask
        assert prompt is not None
        source = self._resuming.source(prompt.tokens, waiting.owner)
        if self._fetch(waiting, source):
            return
        state = None
        if source.entry is not None:
            state = waiting.state if source.entry is waiting.entry else self._parked.state(source.entry)
            source = source if state is not None else Source()
        slot = self._resuming.take(source, waiting.owner, state)
        self._resuming.keep_landmark(slot, prompt)
        try:
            generation = Generation(
                ask,
                prompt,
                slot,
                model=self._loaded.model,
                room_tokens=room(len(prompt.tokens), self._context.size_tokens, ask.sampling.max_tokens),
            )
        except EngineFailed as error:
            self._resuming.release(slot, len(slot))
            self._turn_away(waiting, error)
            return
        if self._speculation.possible:
            generation.guesser = Guesser(prompt.tokens[prompt.history :])
        self._waiting.remove(waiting)
        self._numbers += 1
        self._running.append(_Running(waiting.question, waiting.owner, generation, self._numbers))
        self._pace.began(self._numbers)

    def _chunk(self, generation: Generation, writing: bool) -> tuple[int, int]:
        """Where the next chunk of a prompt starts and ends."""
        prompt, start, length = generation.prompt, len(generation.slot), len(generation.prompt.tokens)
        if self._loaded.cut_anywhere:
            return start, free_end(start, length, (prompt.system,), self._most_read(start, writing))
        stops, ends = (prompt.system, prompt.history), self._loaded.grid.ends(length)
        return next(chunks(start, length, stops, ends, exact=not self._context.rewinds))

    def _most_read(self, start: int, writing: bool) -> int:
        """Tokens of a prompt that can be computed in what is left of the longest gap, and always half of a usual chunk:
        short ones cost more each. While nobody's answer pauses, twice the gap: so long may somebody new wait.
        """
        grid, left_s = self._loaded.grid, 2 * self._settings.longest_gap_s
        if writing:
            left_s = self._settings.longest_gap_s - (time.monotonic() - self._times.written) - self._pace.step_s
        fitting = grid.tokens(start, self._pace.weight_in(left_s))
        most = self._context.batch_tokens - LEAST_CHUNK_TOKENS
        return min(most, max(fitting, grid.first_tokens // 2))

    def _reading_of(self, running: _Running) -> Reading:
        generation = running.generation
        weight = self._loaded.grid.weight(len(generation.slot), len(generation.prompt.tokens))
        return Reading(self._pace.reading_s(weight), time.monotonic() - running.question.ask.asked_at)

    def _may_read(self, reading: list[_Running], writing: list[_Running]) -> bool:
        chunk = max((self._chunk(each.generation, bool(writing)) for each in reading), key=lambda ends: ends[1])
        moment = Moment(
            writing=bool(writing),
            reading=bool(reading),
            since_written_s=time.monotonic() - self._times.written,
            chunk_s=self._pace.reading_s(self._loaded.grid.weight(*chunk)),
            step_s=self._pace.step_s,
            read_last=self._times.read_last,
        )
        return may_read(moment, self._settings.longest_gap_s)

    def _read_chunk(self, running: _Running, writing: bool) -> None:
        generation = running.generation
        start, end = self._chunk(generation, writing)
        weight = self._loaded.grid.weight(start, end)
        began = time.monotonic()
        self._times.read_last = True
        self._context.watch(running.question.flag)
        try:
            generation.read(self._context, end)
        except Cancelled:
            self._end(running, None)
        except (DecodeFailed, EngineFailed) as error:
            self._fail(running, error)
        else:
            self._pace.read(weight, time.monotonic() - began)
            self._resuming.keep_landmark(generation.slot, generation.prompt)
            if generation.usage is not None:
                self._end(running, generation.usage)
        finally:
            self._context.watch(self._jobs.closing)

    def _write(self, writing: list[_Running]) -> None:
        """One token, or more where guesses are right, for each of the running replies."""
        began = time.monotonic()
        guessed = self._speculation.most(writing[0].generation.guesser) if len(writing) == 1 else 0
        tokens = [each.generation.to_decode(guessed) for each in writing]
        slots = [each.generation.slot for each in writing]
        try:
            self._context.decode([Run(slot.sequence, len(slot), run) for slot, run in zip(slots, tokens, strict=True)])
        except Cancelled:
            for slot in slots:
                slot.repair()
            return
        except DecodeFailed as error:
            for running in writing:
                self._fail(running, error)
            return
        first = chosen = 0
        for running, run in zip(writing, tokens, strict=True):
            chosen = self._choose(running, run, first)
            first += len(run)
        self._times.written, self._times.read_last = time.monotonic(), False
        self._pace.wrote(self._times.written - began)
        if len(writing) == 1:
            guesser = writing[0].generation.guesser
            self._speculation.wrote(guesser, len(tokens[0]) - 1, chosen, self._times.written - began)

    def _choose(self, running: _Running, decoded: list[int], first: int) -> int:
        try:
            chosen = running.generation.read_decoded(self._context, decoded, first)
        except EngineFailed as error:
            running.generation.slot.repair()
            self._fail(running, error)
            return 0
        if running.generation.usage is not None:
            self._end(running, running.generation.usage)
        return chosen

    def _fail(self, running: _Running, error: EngineFailed | DecodeFailed) -> None:
        if isinstance(error, DecodeFailed):
            running.generation.slot.clear()
            error = EngineFailed(str(error))
        running.question.ask.outbox.finish(error)
        self._end(running, None)

    def _end(self, running: _Running, usage: Usage | None) -> None:
        generation = running.generation
        generation.free()
        # A conversation's next prompt goes on from its history; who brings the whole history may repeat all of it.
        keep = generation.prompt.history if running.owner.lasting else len(generation.slot)
        self._resuming.release(generation.slot, 0 if running.forgotten else keep)
        self._running.remove(running)
        self._pace.ended(running.number, usage)
        if usage is not None:
            running.question.ask.outbox.finish(usage)
        self._jobs.over(running.question)

    def _forget(self, job: Forgetting) -> None:
        owner = owner_of(job.key)
        for running in self._running:
            running.forgotten = running.forgotten or running.owner == owner
        tokens = self._resuming.forget(owner)
        held = self._loaded.header.kv_bytes(tokens, self._settings.kv_type)

        def done(parked_bytes: int) -> None:
            # The same tokens may be held in both places; what a person is told is what was known of them, once.
            job.finish(max(held, parked_bytes))
            self._jobs.over(job)

        self._parked.forget(owner, done)
