"""Limits of Matrix and Synapse, each with its source."""

EVENT_BYTES = 65_536
"""The size of an event as canonical JSON (client-server API, "Size limits")."""

MAX_EDITS = 20
"""Edits of one reply: a message that was edited a thousand times made a room unloadable."""

TYPING_S = 30.0
"""Duration of a typing notice; it is renewed before it ends."""

BURST = 10
PER_S = 0.2
"""Synapse's default `rc_message` (`synapse/config/ratelimiting.py`): burst and rate per second of each account over
all of its rooms. Edits, reactions and redactions count, joins and leaves too; typing notices and receipts do not."""

CONTENT_BYTES = 45_000
"""Size of a content's JSON that certainly fits into an encrypted event: base64 turns three bytes into four, and 4 KB
are reserved for the additions of encryption, the server and a room with many branches."""

TEXT_COPIES = 3
"""Copies of the text in an edit: plain, plain for clients without edits, and formatted."""

TEXT_COPIES_BYTES = 43_500
"""Size of the JSON of all copies together; the rest of the content is ids."""
