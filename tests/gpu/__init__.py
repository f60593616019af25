"""What a GPU computes, held to what the CPU computes. Every test has one body for both devices.

The ordinary suite runs the bodies on the CPU, where they can fail too: they compare with float64, or with a batch that
is cut into micro-batches. With CUDA:

    python -m pytest -m gpu tests/gpu -n0 -p no:cacheprovider

Where pytest-xdist is missing, the options in pyproject.toml must go:

    python -m pytest -o addopts="" -m gpu tests/gpu -p no:cacheprovider
    python -m pytest -o addopts="" -m "not slow and not gpu" tests/gpu -p no:cacheprovider    # the same on the CPU

Only pytest, torch, eaglebench and packages that it needs are imported: no wandb, deepspeed or bitsandbytes.
"""
