"""WHAT DOES IT MEAN? From the raw samples of a run to a verdict with its evidence."""
