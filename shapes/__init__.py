"""HOW MUCH, and WHEN? Pure arrival mathematics, and the LoadTestShape classes over it."""
