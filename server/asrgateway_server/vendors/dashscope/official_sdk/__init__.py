"""The vendor's own SDK as another way to its models."""
