"""WITH WHAT? Prompts, baselines, generated evaluation runs, and the grading of answers."""
