"""Tiny pretrained parts, one pretext task each, and how they are made. One file per task; `pretext.py` has the contract."""
