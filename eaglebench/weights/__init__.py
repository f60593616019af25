"""Weight files: where they come from, how they are read and written, and what their keys are called."""
