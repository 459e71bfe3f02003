"""The doctor's check on the engine, with model files of a few kilobytes."""

from pathlib import Path

from bot.cli.engine_checks import check_engine
from bot.config.schema import Config
from tests.fakes.tiny_gguf import write_tiny_model


def config(folder: Path, **llama: object) -> Config:
    return Config.model_validate(
        {
            "data_folder": folder / "data",
            "cache_folder": folder / "cache",
            "weights": {"chat": {"source": "path", "path": folder / "tiny.gguf"}, "embedding": []},
            "model": {"llama": llama},
        }
    )


def test_how_the_model_would_run_is_told(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "tiny.gguf", "attention")
    (check,) = check_engine(config(tmp_path, gpu_layers=0, parallel=2, threads=3, speculation=False))
    assert check.status == "ok"
    for part in ("0 of 3 layers", "2 answers", "Threads: 3", "decoding: off", "fast, not deterministic", "llama-cpp"):
        assert part in check.sentence
    assert check.figures["kv_bytes"] > 0


def test_deterministic_answers_that_cannot_be_had_are_a_problem(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "tiny.gguf", "attention")
    (check,) = check_engine(config(tmp_path, gpu_layers=0, deterministic=True, kv_cache_type="q8_0"))
    assert check.status == "problem"
    assert "kv_cache_type" in check.sentence
    (check,) = check_engine(config(tmp_path, gpu_layers=0, deterministic=True))
    assert check.status == "ok"
    assert "Answers are deterministic" in check.sentence


def test_a_model_that_is_missing_or_damaged_is_the_matter_of_other_checks(tmp_path: Path) -> None:
    assert list(check_engine(config(tmp_path))) == []
    (tmp_path / "tiny.gguf").write_bytes(b"no model")
    assert list(check_engine(config(tmp_path))) == []
