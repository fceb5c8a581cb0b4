"""HOW does a run go? Options, the processes around it, its beginning, its end, and what is shown meanwhile."""
