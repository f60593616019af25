"""Data: records become samples, samples become batches."""
