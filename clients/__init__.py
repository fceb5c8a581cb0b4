"""HOW do we speak? Protocol clients that know nothing of Locust users.

Times are `time.monotonic()` seconds, the clock that a run's origin is taken from.
"""
