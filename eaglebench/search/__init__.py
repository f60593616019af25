"""Which experts: trials of sets of them, round by round."""
