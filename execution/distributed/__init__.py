"""How do a master and its workers make one load? Messages over Locust's channel, stripes, leases, one run folder."""
