"""Who may call, how much, and for how long: the same for every door."""
