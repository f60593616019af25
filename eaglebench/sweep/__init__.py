"""Sweep files of Weights & Biases, run without it."""
