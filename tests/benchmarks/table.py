"""All benchmarks of `make bench`, with their bars."""

from tests.benchmarks.figures import Arm, Figure

ARMS = (
    Arm(
        "streaming",
        "tests.benchmarks.streaming",
        (
            Figure("streamed_over_bare_tokens_per_s", "ratio", ">=", bar=0.90),
            Figure("streamed_tokens_per_s", "tokens/s"),
            Figure("bare_tokens_per_s", "tokens/s"),
        ),
    ),
    Arm(
        "generating",
        "tests.benchmarks.generating",
        (
            Figure("lag_p99_generating_ms", "ms", "<=", bar=50),
            Figure("lag_p99_idle_before_generating_ms", "ms", "<="),
        ),
    ),
    Arm(
        "indexing",
        "tests.benchmarks.indexing",
        (
            Figure("lag_p99_indexing_ms", "ms", "<=", bar=50),
            Figure("lag_p99_idle_before_indexing_ms", "ms", "<="),
            Figure("reindex_unchanged_2000_files_s", "s", "<=", bar=2),
            Figure("index_2000_files_s", "s", "<="),
        ),
    ),
    Arm(
        "message",
        "tests.benchmarks.message",
        (
            Figure("core_per_message_over_bare_transaction", "ratio", "<=", bar=6),
            Figure("core_per_message_over_bare_journal", "ratio", "<="),
            Figure("core_per_message_ms", "ms", "<="),
            Figure("core_per_message_p95_ms", "ms", "<="),
            Figure("bare_transaction_ms", "ms", "<="),
            Figure("bare_journal_ms", "ms", "<="),
            Figure("message_with_search_ms", "ms", "<="),
        ),
    ),
    Arm(
        "waiting",
        "tests.benchmarks.waiting",
        (
            Figure("wait_beside_slow_over_beside_readers", "ratio", "<=", bar=1.10),
            Figure("wait_beside_slow_s", "s", "<="),
            Figure("wait_beside_readers_s", "s", "<="),
            Figure("waiting_lag_p99_ms", "ms", "<=", bar=50),
            Figure("waiting_lag_p99_idle_before_ms", "ms", "<="),
        ),
    ),
    Arm(
        "memory",
        "tests.benchmarks.memory",
        (
            Figure("memory_over_weights_and_kv_mb", "MB", "<=", bar=300),
            Figure("memory_resident_mb", "MB", "<="),
            Figure("memory_weights_mb", "MB", "<="),
            Figure("memory_kv_mb", "MB", "<="),
        ),
    ),
    Arm(
        "discord_load",
        "tests.benchmarks.discord_load",
        (
            Figure("discord_mentions", "questions", ">=", bar=50),
            Figure("discord_mentions_within_s", "s", "<=", bar=1),
            Figure("discord_lost_answers", "answers", "<=", bar=0),
            Figure("discord_doubled_answers", "answers", "<=", bar=0),
            Figure("discord_channels_out_of_order", "channels", "<=", bar=0),
            Figure("discord_most_429_in_a_channel", "refusals", "<=", bar=1),
            Figure("discord_requests_429", "refusals", "<="),
            Figure("discord_lag_p99_ms", "ms", "<=", bar=50),
            Figure("discord_lag_p99_idle_before_ms", "ms", "<="),
            Figure("discord_all_answered_s", "s", "<="),
        ),
    ),
)
