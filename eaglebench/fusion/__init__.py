"""Fusion strategies: feature maps of several experts to visual tokens. One file each; `base.py` has the contract."""
