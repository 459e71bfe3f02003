"""A Matrix homeserver on loopback, for tests and the demo, and the people in it.

`SynapseServer` is Synapse; `Person` an ordinary client without encryption; `Timeline` is what a person sees of a room,
edits and deletions applied.
"""

from deploy.dev.homeserver.account import Account
from deploy.dev.homeserver.person import Person
from deploy.dev.homeserver.server import SynapseServer
from deploy.dev.homeserver.timeline import Shown, Timeline

__all__ = ["Account", "Person", "Shown", "SynapseServer", "Timeline"]
