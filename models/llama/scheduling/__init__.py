"""Continuous batching on the inference thread: requests, prefill policy, throughput, warm-up."""
