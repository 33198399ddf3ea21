"""The server of the speech-recognition gateway."""

import os

# Both are read once, when gRPC starts. Its fork handlers would only complain, since workers are executed and never
# forked off; its own lines in the log are no JSON, and what matters of them is told by ours.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
