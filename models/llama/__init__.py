"""The in-process engine: a GGUF model run by llama.cpp on a dedicated thread."""
