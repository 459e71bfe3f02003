"""The other side of the encrypted tests: a client on what Element is built on, in a Node process."""

from tests.element.peer import Peer, Verification

__all__ = ["Peer", "Verification"]
