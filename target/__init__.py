"""The embedded platform under test: LLM server, CRUD, WebSocket updates and faults on demand, in one process.

It stands for the system that a load test is aimed at, so it imports nothing of the suite and nothing imports
it: `python -m target` starts it and HTTP is the only way in.
"""
