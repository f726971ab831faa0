"""A helper of its own, started with -I -S inside the sandbox: opens the one door to the network, and becomes the program.

    python -I -S gate.py FD PORT -- PROGRAM ARGUMENTS

It listens on the sandbox's own loopback and hands that socket to the host over FD. Nothing of it stays.
"""

import os
import socket
import sys


def main() -> None:
    fd, port, argv = int(sys.argv[1]), int(sys.argv[2]), sys.argv[4:]
    with socket.socket(fileno=fd) as host, socket.socket() as door:
        door.bind(("127.0.0.1", port))
        door.listen(64)
        socket.send_fds(host, [b"d"], [door.fileno()])
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        os.write(2, f"{argv[0]}: {error.strerror}\n".encode())
        os._exit(127)


if __name__ == "__main__":
    main()
