"""One call, from its first byte to its last result."""
