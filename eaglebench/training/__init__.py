"""Lightning around a network that turns a batch into a loss."""
