import pytest

from bot.core.engine_figures import engine_lines
from models.engine import EngineReport

_REPORT = EngineReport(
    gpu_layers=24,
    all_layers=37,
    kv_bytes=1_510_000_000,
    kv_used_bytes=23_000_000,
    chunk_tokens=256,
    replies_together=4,
    threads=2,
    all_threads=4,
    flash_attention=True,
    draft_tokens=8,
    draft_gain=1.372,
    template="the model file",
    build="llama-cpp-python 0.3.36",
)


def test_everything_that_depends_on_the_machine_is_told() -> None:
    text = "\n".join(engine_lines(_REPORT, "en"))
    for figure in (
        "24 of 37",
        "23 of 1510 MB",
        "2 of 4 threads",
        "flash attention on",
        "4 answers",
        "256 tokens",
        "1.37",
    ):
        assert figure in text
    assert "not deterministic" in text
    assert "0.3.36" in text


def test_what_was_not_measured_yet_is_told_without_a_figure() -> None:
    lines = list(engine_lines(EngineReport(all_layers=31, draft_tokens=8, is_deterministic=True), "en"))
    assert any("drafts of up to 8 tokens where they pay" in line for line in lines)
    assert any("the same bit for bit" in line for line in lines)
    assert any("–" in line for line in lines)


@pytest.mark.parametrize("language", ["en", "fr"])
def test_an_engine_that_reports_nothing_has_no_lines(language: str) -> None:
    assert list(engine_lines(EngineReport(), language)) == []  # type: ignore[arg-type]
