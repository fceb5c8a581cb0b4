"""HOW MUCH can the service carry? The search for the highest load at which every limit of a plan holds."""
