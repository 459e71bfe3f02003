"""Evaluation of retrieval on judged sets: the figures of BEIR and trec_eval for each ranking."""
