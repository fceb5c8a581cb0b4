"""`python -m target`: start the platform under test."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from collections.abc import Sequence

from .options import parse


def main(arguments: Sequence[str]) -> int:
    """Serve until told to stop; 0 after a clean end, 2 when the server could not be started as asked."""
    options = parse(arguments)
    gc.disable()  # until the server listens: what is imported stays, and looking for garbage in it takes 0.1 s
    # Imported after the options: --help and a wrong option need none of the web framework.
    from .server import bind, serve  # noqa: PLC0415

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    # uvicorn calls a stream that a fault cut, or that the end of the process cut, an error; both are meant.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    try:
        listener = bind(options.host, options.port)
    except OSError as problem:
        why = f"cannot listen on {options.host}:{options.port}: {problem.strerror or problem}"
        print(f"python -m target: error: {why}", file=sys.stderr)
        return 2
    with listener, asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(serve(options, listener))


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415
    except ImportError:
        # uvloop does not exist for Windows; the standard loop serves there, with less to spare.
        return None
    factory: type[asyncio.AbstractEventLoop] = uvloop.Loop
    return factory


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
