"""Whole models: experts, a fusion and a language model, built and adapted from their specifications."""
