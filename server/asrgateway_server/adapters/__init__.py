"""How each backend is spoken to. Pure: calls in, values out."""
