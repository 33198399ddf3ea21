"""The public face: gRPC, its messages and its statuses."""
