"""Tiny pretrained parts that ship with the package, and the pretext tasks that train them.

One file per task; `pretext.py` has the contract.
"""
