"""The native llama.cpp library: bindings, context, model, OpenMP threads."""
