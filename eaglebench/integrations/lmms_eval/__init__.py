"""Finished runs as models of lmms-eval (github.com/EvolvingLMMs-Lab/lmms-eval), and its tasks as an evaluation."""
