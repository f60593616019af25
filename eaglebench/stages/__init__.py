"""Who trains on what, for how long: the stages, their runner, and the store of finished ones."""
