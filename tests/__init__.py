"""Tests: `unit` mirrors the source, `contracts` hold for every filler of a port, `integration` uses real parts."""
