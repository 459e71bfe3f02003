"""Hearth's candidates for the next token are those of llama.cpp's own samplers."""

import ctypes

import numpy
import pytest

from models.llama.decoding.logits import penalise_repeats, top_k_tokens
from models.llama.native.libllama import llama_library

_VOCABULARY = 5_000


@pytest.mark.parametrize("seed", range(20))
def test_penalties_and_the_likeliest_are_those_of_llama_cpp(seed: int) -> None:
    rng = numpy.random.default_rng(seed)
    logits = rng.normal(0, 6, _VOCABULARY).astype(numpy.float32)
    recent_tokens = [int(token) for token in rng.choice(logits.argsort()[-200:], 50)]
    llama_cpp = llama_library()
    links = (
        llama_cpp.llama_sampler_init_penalties(_VOCABULARY, 64, 1.3, 0.0, 0.0),
        llama_cpp.llama_sampler_init_top_k(40),
    )
    chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
    for link in links:
        llama_cpp.llama_sampler_chain_add(chain, link)
    for token in recent_tokens:
        llama_cpp.llama_sampler_accept(chain, token)
    data = (llama_cpp.llama_token_data * _VOCABULARY)(*((token, logits[token], 0.0) for token in range(_VOCABULARY)))
    array = llama_cpp.llama_token_data_array(
        ctypes.cast(data, ctypes.POINTER(llama_cpp.llama_token_data)), _VOCABULARY, -1, False
    )
    llama_cpp.llama_sampler_apply(chain, ctypes.byref(array))
    llama_cpp.llama_sampler_free(chain)

    penalise_repeats(logits, recent_tokens, 1.3)
    tokens = top_k_tokens(logits, 40)
    assert [array.data[place].id for place in range(array.size)] == tokens.tolist()
    assert [array.data[place].logit for place in range(array.size)] == logits[tokens].tolist()
