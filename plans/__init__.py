"""WHAT do we run, and what counts as a pass?"""
