"""How backends are reached: the only part with sockets, processes and clocks."""
