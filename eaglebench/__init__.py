"""eaglebench."""
