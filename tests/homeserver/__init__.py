"""A real Matrix homeserver on loopback, people in it, and a proxy that sees and breaks what passes.

`SynapseServer` is Synapse; `Person` somebody with an ordinary client and no encryption; `Capture` stands between a
program and the server; `Timeline` is what a person sees of a room, edits and deletions applied.
"""

from tests.homeserver.account import Account
from tests.homeserver.capture import Capture, Request
from tests.homeserver.person import Person
from tests.homeserver.server import SynapseServer
from tests.homeserver.timeline import Shown, Timeline

__all__ = ["Account", "Capture", "Person", "Request", "Shown", "SynapseServer", "Timeline"]
