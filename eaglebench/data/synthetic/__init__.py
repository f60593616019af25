"""A small synthetic world whose questions need different visual skills. One file per kind of scene."""
