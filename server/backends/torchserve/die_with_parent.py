"""Run a command that dies with its parent: python die_with_parent.py PARENT_PID COMMAND ...

A parent that is killed (SIGKILL, out of memory) runs no clean-up; the kernel does this one for it.
Linux only; elsewhere the command just runs.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the kernel was told
            sys.exit(1)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
