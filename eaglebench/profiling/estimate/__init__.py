"""What a training will need, before anything is downloaded or trained."""
