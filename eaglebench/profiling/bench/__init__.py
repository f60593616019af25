"""task=bench: what parts cost, each beside the obvious alternative in the same run."""
