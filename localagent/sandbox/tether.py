"""Run as a script before a program of ours in a terminal: `tether.py PARENT PROGRAM ARGUMENT...`.

Its standard input becomes the terminal of the session, so that closing it hangs the program up, and on Linux the
program is told to end when the process that started it ends, however that happens. It loads next to nothing.
"""

import os
import sys

_PR_SET_PDEATHSIG = 1


def tether(parent: int, argv: list[str]) -> None:
    """Replaces this process by the program; does not return. `parent` is the process it must not outlive."""
    import fcntl
    import signal
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    if sys.platform.startswith("linux"):
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    # It may have ended before that was said.
    if os.getppid() != parent:
        sys.exit(1)
    os.execv(argv[0], argv)


if __name__ == "__main__":
    tether(int(sys.argv[1]), sys.argv[2:])
