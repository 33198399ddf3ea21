"""One call: the client's audio in, results out. No module here knows a vendor or a socket."""
