"""Hearth through its endpoint for other programs, measured side by side with llama.cpp's own server."""
