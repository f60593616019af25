"""task=bench: measures experts and fusions, each beside other implementations of the same computation."""
