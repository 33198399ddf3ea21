"""A vendor of one model, which runs in worker processes and counts what it is given."""
