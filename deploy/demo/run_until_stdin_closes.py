"""Runs the program `hearth` for as long as somebody holds its standard input open: it does not outlive the demo."""

import os
import runpy
import signal
import threading


def exit_with_parent() -> None:
    """Wait for the end of standard input, and stop as by SIGTERM."""
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=exit_with_parent, daemon=True).start()
    runpy.run_module("bot", run_name="__main__", alter_sys=True)
