"""Recorded traffic: when requests came, and what they were like."""
