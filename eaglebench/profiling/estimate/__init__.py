"""Estimates of memory and operations from shapes alone, without weights, data or GPU (task=plan, task=select)."""
