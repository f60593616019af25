"""How the tiny model's parts learn their first skills."""
