"""Runs the program `hearth` until its standard input closes, so that it does not outlive the demo."""

import os
import runpy
import signal
import threading


def exit_with_parent() -> None:
    """Wait for the end of standard input, then send SIGTERM to this process."""
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=exit_with_parent, daemon=True).start()
    runpy.run_module("bot", run_name="__main__", alter_sys=True)
