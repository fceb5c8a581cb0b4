"""HOW MUCH can this machine generate? A short ladder of load against a server whose times are known."""
