"""The version of eaglebench. It is written here, so that the source runs without being installed."""

__version__ = "0.2.0"
