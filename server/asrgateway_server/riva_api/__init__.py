"""NVIDIA Riva's speech recognition on the gRPC port: its messages, made from and into the contract's."""
