"""`python -m target.llama`: llama.cpp's own server with a tiny random Mixtral, on a free loopback port.

It prints one JSON line, url and pid, when it serves, and ends at the end of its standard input or on SIGTERM. With a
command behind it (`python -m target.llama python certify.py plan.yaml`) it runs the command with the server's URL in
LLAMA_URL, and ends with its exit code.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

EXIT_USAGE = 2
_HTTP_THREADS = 128
"""More than there are connections: each kept-alive one holds a thread."""


def main(arguments: Sequence[str]) -> int:
    """Serve, and run the command if there is one; 2 when the engine is not installed."""
    given = _parser().parse_args(arguments)
    try:
        import xllamacpp  # noqa: PLC0415

        from . import llama_model  # noqa: PLC0415
    except ImportError as error:
        print(f"python -m target.llama: error: {error.name} is not installed: run 'make llama'", file=sys.stderr)
        return EXIT_USAGE
    with tempfile.TemporaryDirectory(prefix="proofload-llama-") as folder:
        model = Path(folder) / "mixtral-tiny.gguf"
        llama_model.write(model, given.seed)
        parameters = _parameters(xllamacpp.CommonParams(), model, given)
        server = xllamacpp.Server(parameters)
        code = _meanwhile(server.listening_address, given.command)
    sys.stdout.flush()
    sys.stderr.flush()
    # Not by way of the engine's own end: with a stream open it can wait for minutes.
    os._exit(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m target.llama", description=__doc__, allow_abbrev=False)
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 takes a free one")
    parser.add_argument("--slots", type=int, default=16, help="sequences decoded together")
    parser.add_argument("--threads", type=int, default=1, help="threads that compute")
    parser.add_argument("--seed", type=int, default=1, help="seed of the weights")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="what to run against the server")
    return parser


def _parameters(parameters: Any, model: Path, given: argparse.Namespace) -> Any:
    from .llama_model import CONTEXT  # noqa: PLC0415

    parameters.model.path = str(model)
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = given.port or _free_port()
    parameters.n_parallel = given.slots
    parameters.n_ctx = CONTEXT * given.slots
    parameters.cpuparams.n_threads = given.threads
    parameters.n_threads_http = _HTTP_THREADS
    parameters.endpoint_metrics = True
    parameters.verbosity = 1  # errors
    return parameters


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _meanwhile(url: str, command: Sequence[str]) -> int:
    """Run the command, or wait until told to stop."""
    print(json.dumps({"url": url, "pid": os.getpid()}), file=sys.stderr if command else sys.stdout, flush=True)
    if command:
        return subprocess.run(command, env=os.environ | {"LLAMA_URL": url}, check=False).returncode
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    threading.Thread(target=_until_the_parent_ends, args=(over,), daemon=True).start()
    over.wait()
    return 0


def _until_the_parent_ends(over: threading.Event) -> None:
    sys.stdin.read()
    over.set()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
