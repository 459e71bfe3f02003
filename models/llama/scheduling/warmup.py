"""What is computed while nobody waits: the beginning of each conversation's next prompt."""

from models.engine import EngineFailed
from models.llama.kv_cache.cache_keys import cache_key_of
from models.llama.kv_cache.prefix_cache import PrefixCache
from models.llama.kv_cache.slots import Slot
from models.llama.kv_cache.tokenized_prompt import PromptTokenizer, TokenizedPrompt
from models.llama.loading.loader import LoadedModel
from models.llama.native.cancel_flag import CancelFlag
from models.llama.native.context import DecodeAborted, DecodeFailed
from models.llama.plan.prefill_chunks import iter_chunks
from models.llama.scheduling.requests import RequestQueue, WarmUp

# More than a home has conversations at a time: who comes later finds the oldest given up.
_MOST_PENDING = 64


class WarmUpQueue:
    """Prompts to prepare. Every call belongs to the `llama` thread."""

    def __init__(self, loaded: LoadedModel, reader: PromptTokenizer, resuming: PrefixCache, jobs: RequestQueue) -> None:
        self._loaded = loaded
        self._tokenizer = reader
        self._prefix_cache = resuming
        self._requests = jobs
        self._pending: dict[str, WarmUp] = {}

    @property
    def has_pending(self) -> bool:
        """Whether there is anything to prepare."""
        return bool(self._pending)

    def add(self, job: WarmUp) -> None:
        """The newest prompt of a conversation is the only one worth preparing."""
        self.drop_pending(job.key)
        self._pending[job.key] = job
        if len(self._pending) > _MOST_PENDING:
            self.drop_pending(next(iter(self._pending)))

    def drop_pending(self, key: str) -> None:
        """Give up what is pending for a conversation."""
        if (job := self._pending.pop(key, None)) is not None:
            self._finish(job)

    def _finish(self, job: WarmUp) -> None:
        job.set_done()
        self._requests.mark_done(job)

    def run_oldest(self) -> None:
        """Prepare the oldest prompt as far as nobody interrupts. What was interrupted is taken up again in the next
        quiet moment, but who waits for it is told now.
        """
        key, job = next(iter(self._pending.items()))
        del self._pending[key]
        self._requests.set_running_warm_up(job)
        self._loaded.context.set_abort_flag(job.cancel_flag)
        try:
            self._warm_up(job)
        except DecodeAborted:
            self._pending[key] = WarmUp(job.key, job.prompt, CancelFlag())
        except (EngineFailed, DecodeFailed):
            pass
        finally:
            self._loaded.context.set_abort_flag(self._requests.closing)
            self._requests.set_running_warm_up(None)
            self._finish(job)

    def _warm_up(self, job: WarmUp) -> None:
        prompt, owner = self._tokenizer.tokenize_head(job.prompt), cache_key_of(job.key)
        if not 0 < len(prompt.tokens) <= self._loaded.context.size_tokens:
            return
        slot = self._prefix_cache.acquire_resident(prompt.tokens, owner)
        try:
            self._prefill(slot, prompt)
        except DecodeFailed:
            slot.clear()
            raise
        finally:
            self._prefix_cache.release_slot(slot, len(slot))

    def _prefill(self, slot: Slot, prompt: TokenizedPrompt) -> None:
        length = len(prompt.tokens)
        exact = not self._loaded.context.can_truncate
        for start, end in iter_chunks(
            len(slot), length, (prompt.system_tokens,), self._loaded.prefill_plan.chunk_ends(length), exact
        ):
            slot.prefill(prompt.tokens[start:end])
            self._prefix_cache.snapshot_at_boundary(slot, prompt)
