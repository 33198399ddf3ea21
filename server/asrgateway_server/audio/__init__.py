"""Bytes of any format to PCM at the model's rate. Pure."""
