"""Config keys of Hearth's own sections that were replaced, each with the key to write instead."""

from collections.abc import Mapping

REPLACED_KEYS: Mapping[str, str] = {
    "core.answers_per_minute": "core.flood_answers_per_minute",
    "core.blocked_people": "core.people.block",
    "core.drain_s": "core.shutdown_grace_s",
    "core.notice_after_s": "core.queue_notice_after_s",
    "core.passages": "core.prompt_passages",
    "core.pause_s": "core.flood_pause_s",
    "core.token_timeout_s": "core.generation_stall_timeout_s",
    "core.waiting_per_person": "core.open_questions_per_person",
    "core.when_unsupported": "core.when_nothing_found",
    "http.openai.behind_people": "http.openai.priority",
    "http.openai.open_requests": "http.openai.open_requests_per_key",
    "knowledge.passages": "core.prompt_passages",
    "model.llama.kv_type": "model.llama.kv_cache_type",
    "model.llama.longest_gap_s": "model.llama.max_decode_pause_s",
    "model.llama.parked_disk_bytes": "model.llama.kv_cache_disk_bytes",
    "model.llama.parked_memory_bytes": "model.llama.kv_cache_memory_bytes",
    "model.llama.replies": "model.llama.parallel",
}
