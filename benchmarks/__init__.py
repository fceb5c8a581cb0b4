"""What is promised in numbers, measured: `python -m benchmarks` prints the tables and writes docs/performance.md."""
