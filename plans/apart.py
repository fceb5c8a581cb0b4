"""How a process is started that a Ctrl-C in the terminal must not reach, and how it is then interrupted."""

import signal
import subprocess
import sys

if sys.platform == "win32":
    OWN_GROUP = subprocess.CREATE_NEW_PROCESS_GROUP
    _INTERRUPT = signal.CTRL_BREAK_EVENT
else:
    OWN_GROUP = 0
    _INTERRUPT = signal.SIGINT
"""`creationflags` of a process that is apart; elsewhere than on Windows `start_new_session` does it."""


def pass_on(number: int, process: subprocess.Popen[bytes]) -> None:
    """Send a signal to a process that was started apart. Windows has none for a Ctrl-C there but a Ctrl-Break."""
    process.send_signal(_INTERRUPT if number == signal.SIGINT else number)
