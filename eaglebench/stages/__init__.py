"""The stages of training: what each trains and on what, their runner, and the store of finished ones."""
