"""Matrix client on Element's library in a Node process, for tests and the demo."""

from deploy.dev.element.peer import Peer, Verification

__all__ = ["Peer", "Verification"]
