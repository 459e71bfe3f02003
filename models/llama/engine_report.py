"""The report of a running model: what is on of everything that depends on model and machine."""

from importlib.metadata import version

from models.engine import EngineReport
from models.llama.loading.loader import LoadedModel
from models.llama.native.context import thread_count
from models.llama.scheduling.scheduler import Scheduler
from models.llama.settings import LlamaSettings


def build_report(loaded: LoadedModel, settings: LlamaSettings, scheduler: Scheduler | None) -> EngineReport:
    """The report; `scheduler` has the figures of what was computed, None before anything was."""
    plan, context, summary = loaded.memory_plan, loaded.context, scheduler.summary if scheduler else None
    used_tokens = scheduler.cached_tokens if scheduler else 0
    return EngineReport(
        gpu_layers=plan.gpu_layers,
        all_layers=plan.all_layers,
        kv_bytes=plan.kv_bytes,
        # Of sliding windows less is kept than was computed.
        kv_used_bytes=min(plan.kv_bytes, loaded.header.kv_bytes(used_tokens, settings.kv_cache_type)),
        chunk_tokens=summary.chunk_tokens if summary else 0,
        replies_together=summary.replies_together if summary else 0,
        threads=scheduler.threads_in_use if scheduler else context.threads_in_use,
        all_threads=thread_count(settings),
        flash_attention=context.has_flash_attention,
        draft_tokens=loaded.limits.max_draft_tokens,
        draft_gain=summary.draft_gain if summary else 0.0,
        is_deterministic=loaded.limits.deterministic,
        template=loaded.template.description,
        build=build_version(),
    )


def build_version() -> str:
    """Name and version of the installed library; a patched build has a label such as `+hearth.1` in its version."""
    return f"llama-cpp-python {version('llama-cpp-python')}"
