"""A vendor of one model, reached over a WebSocket, that sends back how much it heard."""
