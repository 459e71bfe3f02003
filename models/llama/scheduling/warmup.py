"""What is computed while nobody waits: the beginning of each conversation's next prompt."""

from models.engine import EngineFailed
from models.llama.kv_cache.cache_keys import owner_of
from models.llama.kv_cache.prefix_cache import Resuming
from models.llama.kv_cache.slots import Slot
from models.llama.kv_cache.tokenized_prompt import PromptReader, ReadPrompt
from models.llama.loading.loader import Loaded
from models.llama.native.cancel_flag import CancelFlag
from models.llama.native.context import Cancelled, DecodeFailed
from models.llama.plan.prefill_chunks import chunks
from models.llama.scheduling.requests import JobQueue, Preparation

# More than a home has conversations at a time: who comes later finds the oldest given up.
_MOST_PENDING = 64


class Preparations:
    """Prompts to prepare. Every call belongs to the `llama` thread."""

    def __init__(self, loaded: Loaded, reader: PromptReader, resuming: Resuming, jobs: JobQueue) -> None:
        self._loaded = loaded
        self._reader = reader
        self._resuming = resuming
        self._jobs = jobs
        self._pending: dict[str, Preparation] = {}

    @property
    def pending(self) -> bool:
        """Whether there is anything to prepare."""
        return bool(self._pending)

    def add(self, job: Preparation) -> None:
        """The newest prompt of a conversation is the only one worth preparing."""
        self.drop(job.key)
        self._pending[job.key] = job
        if len(self._pending) > _MOST_PENDING:
            self.drop(next(iter(self._pending)))

    def drop(self, key: str) -> None:
        """Give up what is pending for a conversation."""
        if (job := self._pending.pop(key, None)) is not None:
            self._finish(job)

    def _finish(self, job: Preparation) -> None:
        job.finish()
        self._jobs.over(job)

    def prepare_one(self) -> None:
        """Prepare the oldest prompt as far as nobody interrupts. What was interrupted is taken up again in the next
        quiet moment, but who waits for it is told now.
        """
        key, job = next(iter(self._pending.items()))
        del self._pending[key]
        self._jobs.preparing(job)
        self._loaded.context.watch(job.flag)
        try:
            self._prepare(job)
        except Cancelled:
            self._pending[key] = Preparation(job.key, job.prompt, CancelFlag())
        except (EngineFailed, DecodeFailed):
            pass
        finally:
            self._loaded.context.watch(self._jobs.closing)
            self._jobs.preparing(None)
            self._finish(job)

    def _prepare(self, job: Preparation) -> None:
        prompt, owner = self._reader.read_head(job.prompt), owner_of(job.key)
        if not 0 < len(prompt.tokens) <= self._loaded.context.size_tokens:
            return
        slot = self._resuming.take_at_once(prompt.tokens, owner)
        try:
            self._compute(slot, prompt)
        except DecodeFailed:
            slot.clear()
            raise
        finally:
            self._resuming.release(slot, len(slot))

    def _compute(self, slot: Slot, prompt: ReadPrompt) -> None:
        length = len(prompt.tokens)
        exact = not self._loaded.context.rewinds
        for start, end in chunks(len(slot), length, (prompt.system,), self._loaded.grid.ends(length), exact):
            slot.prefill(prompt.tokens[start:end])
            self._resuming.keep_landmark(slot, prompt)
