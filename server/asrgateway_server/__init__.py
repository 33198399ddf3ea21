"""The server of the speech-recognition gateway."""

import os

# Read once, when gRPC starts: its fork handlers would only complain, since workers are executed and never forked off.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
