"""Warm-up: prefill of system and history of each conversation's next prompt while the engine is idle."""

import logging
import time

from models.llama.kv_cache.cache_keys import cache_key_of
from models.llama.kv_cache.dated_prompts import DatedPrompts
from models.llama.kv_cache.prefix_cache import PrefixCache
from models.llama.kv_cache.slots import Slot
from models.llama.kv_cache.tokenized_prompt import TokenizedPrompt
from models.llama.loading.loader import LoadedModel
from models.llama.native.cancel_flag import CancelFlag
from models.llama.native.context import DecodeAborted, DecodeFailed
from models.llama.scheduling.prompt_chunks import PromptChunks
from models.llama.scheduling.request_errors import REQUEST_ERRORS, describe_failure
from models.llama.scheduling.requests import RequestQueue, WarmUp

_log = logging.getLogger(__name__)

# More than a home has conversations at a time; a further one replaces the oldest.
_MAX_PENDING = 64
# A request loses what was computed of a chunk, so a warm-up's are shorter than a batch can be on a slow machine.
_PAUSES_PER_CHUNK = 2


class WarmUpQueue:
    """Pending warm-ups. Used on the inference thread only."""

    def __init__(
        self,
        loaded: LoadedModel,
        prompts: DatedPrompts,
        prefix_cache: PrefixCache,
        requests: RequestQueue,
        *,
        chunks: PromptChunks,
        max_pause_s: float,
    ) -> None:
        self._loaded = loaded
        self._prompts = prompts
        self._prefix_cache = prefix_cache
        self._requests = requests
        self._chunks = chunks
        self._chunk_s = _PAUSES_PER_CHUNK * max_pause_s
        self._pending: dict[str, WarmUp] = {}

    @property
    def has_pending(self) -> bool:
        """Whether a warm-up is pending."""
        return bool(self._pending)

    def add(self, warm_up: WarmUp) -> None:
        """Add a warm-up; it replaces a pending one of the same conversation."""
        self.drop_pending(warm_up.key)
        self._pending[warm_up.key] = warm_up
        if len(self._pending) > _MAX_PENDING:
            self.drop_pending(next(iter(self._pending)))

    def drop_pending(self, key: str) -> None:
        """Abandon the pending warm-up of a conversation."""
        if (warm_up := self._pending.pop(key, None)) is not None:
            self._finish(warm_up)

    def _finish(self, warm_up: WarmUp) -> None:
        warm_up.set_done()
        self._requests.mark_done(warm_up)

    def run_oldest(self) -> None:
        """Warm up the oldest pending prompt until interrupted. Interrupted work is resumed when idle; its caller is
        released now.
        """
        key, warm_up = next(iter(self._pending.items()))
        del self._pending[key]
        self._requests.set_running_warm_up(warm_up)
        self._loaded.context.set_abort_flag(warm_up.cancel_flag)
        try:
            self._warm_up(warm_up)
        except DecodeAborted:
            self._pending[key] = WarmUp(warm_up.key, warm_up.prompt, CancelFlag())
        except (DecodeFailed, *REQUEST_ERRORS) as error:
            _log.debug("Could not warm up: %s.", describe_failure(error))
        finally:
            self._loaded.context.set_abort_flag(self._requests.closing)
            self._requests.set_running_warm_up(None)
            self._finish(warm_up)

    def _warm_up(self, warm_up: WarmUp) -> None:
        cache_key = cache_key_of(warm_up.key)
        prompt = self._prompts.tokenize_head(warm_up.prompt, cache_key)
        if not 0 < len(prompt.tokens) <= self._loaded.context.size_tokens:
            return
        slot = self._prefix_cache.acquire_resident(prompt.tokens, cache_key)
        try:
            self._prefill(slot, prompt)
        except (DecodeFailed, *REQUEST_ERRORS):
            slot.clear()
            raise
        finally:
            self._prefix_cache.release_slot(slot, len(slot))

    def _prefill(self, slot: Slot, prompt: TokenizedPrompt) -> None:
        boundaries = self._prefix_cache.snapshot_boundaries(slot, prompt)
        while (start := len(slot)) < len(prompt.tokens):
            end, started_at = self._chunks.next_end(start, prompt, boundaries, self._chunk_s), time.monotonic()
            slot.prefill(prompt.tokens[start:end])
            self._chunks.record(start, end, time.monotonic() - started_at)
            self._prefix_cache.snapshot_at_boundary(slot, prompt)
