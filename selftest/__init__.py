"""DOES PROOFLOAD FIND WHAT IS WRONG? It is shown known faults, and none."""
