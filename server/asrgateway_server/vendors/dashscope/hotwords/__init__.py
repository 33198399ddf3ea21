"""Inline hot words to whatever the model takes; compiled tables and their cache."""
