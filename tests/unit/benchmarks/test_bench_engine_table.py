from tests.benchmarks.engine.table import ARMS, deterministic_arms


def test_a_deterministic_run_measures_every_figure_and_judges_what_must_hold_there() -> None:
    fast = {figure.name: figure for arm in ARMS for figure in arm.figures}
    equal = {figure.name: figure for arm in deterministic_arms() for figure in arm.figures}
    equality = {f"equal_together_and_alone_{model}" for model in ("demo", "q4_k_m", "q8_0")}
    assert equal.keys() == fast.keys() | equality
    assert all(equal[name].bar == 1.0 for name in equality)
    unjudged = {name for name, figure in fast.items() if figure.bar is not None and equal[name].bar is None}
    assert "prefill_over_full_batches" in unjudged
    assert "speculation_over_plain_quoting_q4_k_m" in unjudged
    assert not unjudged & {"written_over_new_state", "prefilled_over_new_tokens"}
