"""Runs Synapse in its own environment until standard input ends, so that it does not outlive its parent process."""

import os
import runpy
import threading


def exit_with_parent() -> None:
    """Exit when standard input ends."""
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=exit_with_parent, daemon=True).start()
    runpy.run_module("synapse.app.homeserver", run_name="__main__", alter_sys=True)
