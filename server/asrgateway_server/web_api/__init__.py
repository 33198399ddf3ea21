"""The door for browsers: WebSocket with protobuf JSON, and the page that uses it."""
