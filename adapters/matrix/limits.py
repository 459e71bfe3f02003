"""What Matrix and Synapse allow, each figure with its source."""

EVENT_BYTES = 65_536
"""The size of an event as canonical JSON (client-server API, "Size limits")."""

MAX_EDITS = 20
"""Edits of one reply: a message that was edited a thousand times made a room unloadable."""

TYPING_S = 30.0
"""How long a typing notice lasts; it is renewed before that."""

BURST = 10
PER_S = 0.2
"""Synapse's default `rc_message` (`synapse/config/ratelimiting.py`): so many events at once, then so many a second,
for each account over all of its rooms. Edits, reactions and redactions count, joining and leaving rooms too; typing
notices and receipts do not."""

CONTENT_BYTES = 45_000
"""The JSON of a message's content that certainly fits into an encrypted event: base64 makes four bytes of three, and
4 KB are kept for what encryption, the server and a room with many branches put around it."""

TEXT_COPIES = 3
"""An edit says its text three times: plain, plain for clients that know no edits, and formatted."""

TEXT_COPIES_BYTES = 43_500
"""The JSON of all copies together; what is left of the content is ids."""
