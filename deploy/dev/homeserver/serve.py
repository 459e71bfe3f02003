"""Runs Synapse, in its own environment, and ends it when standard input ends: it does not outlive its starter."""

import os
import runpy
import threading


def end_with_the_parent() -> None:
    """End this process when its standard input does."""
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=end_with_the_parent, daemon=True).start()
    runpy.run_module("synapse.app.homeserver", run_name="__main__", alter_sys=True)
