"""Where Proofload runs: Docker, Kubernetes, CI. Nothing of the suite imports it."""
