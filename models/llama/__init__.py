"""The in-process engine: a GGUF model run by llama.cpp on one thread of its own."""
