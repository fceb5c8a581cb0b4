"""WHO does WHAT? Thin Locust users, and the hand-over of arrivals to whoever is free."""
