"""Upstream encoders with small random weights, and the files that their own libraries write: one file per expert."""
