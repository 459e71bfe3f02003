"""Matrix homeserver on loopback and its users, for tests and the demo.

`SynapseServer` runs Synapse, `Person` is an ordinary client without encryption, and `Timeline` holds the messages of
rooms as a client shows them, with edits and deletions applied. `federated_servers` runs two servers that
federate with each other.
"""

from deploy.dev.homeserver.account import Account
from deploy.dev.homeserver.federation import federated_servers
from deploy.dev.homeserver.person import Person
from deploy.dev.homeserver.server import SynapseServer
from deploy.dev.homeserver.timeline import Shown, Timeline

__all__ = ["Account", "Person", "Shown", "SynapseServer", "Timeline", "federated_servers"]
