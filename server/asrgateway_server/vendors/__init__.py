"""Who offers models: one folder each, and a registry."""
