"""WHAT HAPPENED? One sample per attempt, on disk within a second."""
