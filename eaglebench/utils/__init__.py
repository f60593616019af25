"""Helpers without knowledge of models or runs: errors, files, hashes, versions, console, processes."""
