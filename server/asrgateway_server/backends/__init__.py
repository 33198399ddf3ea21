"""How any upstream is reached; no module here knows a vendor."""
