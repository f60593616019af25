"""Vision experts: one file each; `base.py` has the contract."""
