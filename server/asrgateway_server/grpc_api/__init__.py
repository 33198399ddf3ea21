"""The door for gRPC clients."""
