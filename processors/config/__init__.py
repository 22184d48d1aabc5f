"""The config agent: validates what anybody produced, and alone writes the tables."""
