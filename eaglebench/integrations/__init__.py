"""Other programs: Weights & Biases as a logger, and lmms-eval as an evaluation."""
