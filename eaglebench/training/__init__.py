"""Trains a network that turns a batch into a loss, with Lightning."""
