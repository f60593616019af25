"""Generated answers, their metrics and scores, and comparisons between runs."""
