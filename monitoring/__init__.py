"""WERE THE MACHINES WELL? Readings of the machine, the server under test and the load generator."""
