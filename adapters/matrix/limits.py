"""What Matrix and Synapse allow, each figure with its source."""

EVENT_BYTES = 65_536
"""The size of an event as canonical JSON (client-server API, "Size limits")."""

TEXT_BYTES = 55_000
"""The UTF-8 bytes of what a message says in plain and formatted text together: the rest is room for what encryption,
which is base64 of it all, and the server add."""

EDIT_BYTES = 27_000
"""The same for a message that is edited: an edit carries the text twice."""

EDITS = 20
"""Edits of one reply: a message that was edited a thousand times made a room unloadable."""

TYPING_S = 30.0
"""How long a typing notice lasts; it is renewed before that."""

BURST = 10
PER_S = 0.2
"""Synapse's default `rc_message` (`synapse/config/ratelimiting.py`): so many events at once, then so many a second,
for each account over all of its rooms. Edits, reactions and redactions count; typing notices and receipts do not."""
