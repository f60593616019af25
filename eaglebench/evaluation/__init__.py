"""Answers, their metrics, and the scores of a run."""
