"""Discord's own figures, each once, with its source in the documentation of its API."""

CONTENT_CHARACTERS = 2000
"""The longest text of a message (`resources/message.mdx`)."""

NONCE_CHARACTERS = 25
"""The longest nonce of a message (`resources/message.mdx`)."""

THREAD_NAME_CHARACTERS = 100
"""The longest name of a thread (`resources/channel.mdx`)."""

TYPING_LASTS_S = 10.0
"""How long one typing request is shown (`resources/channel.mdx`)."""

HISTORY_PAGE = 100
"""The most messages one request for a channel's history brings (`resources/message.mdx`)."""

SHARDED_FROM_GUILDS = 2500
"""From so many servers on a bot must shard (`events/gateway.mdx`)."""

AUTHENTICATION_FAILED = 4004
"""The gateway's close code for a token it does not know (`topics/opcodes-and-status-codes.mdx`)."""

DISALLOWED_INTENTS = 4014
"""The gateway's close code for an intent that is not switched on (`topics/opcodes-and-status-codes.mdx`)."""

NO_HISTORY_TO_REPLY = 160002
"""The error for a reply in a channel whose history may not be read (`topics/opcodes-and-status-codes.mdx`)."""

THREAD_EXISTS = 160004
"""The error for a second thread on the same message (`topics/opcodes-and-status-codes.mdx`)."""
