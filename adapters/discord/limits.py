"""Discord's limits and codes, each with its source in the API documentation."""

CONTENT_CHARACTERS = 2000
"""The longest text of a message (`resources/message.mdx`)."""

NONCE_CHARACTERS = 25
"""The longest nonce of a message (`resources/message.mdx`)."""

OLD_MESSAGE_AGE_S = 3600.0
"""Messages older than this take only a few edits: error 30046 (`topics/opcodes-and-status-codes.mdx`)."""

THREAD_NAME_CHARACTERS = 100
"""The longest name of a thread (`resources/channel.mdx`)."""

TYPING_LASTS_S = 10.0
"""Duration of one typing indicator (`resources/channel.mdx`)."""

HISTORY_PAGE = 100
"""The most messages in one page of a channel's history (`resources/message.mdx`)."""

AUTHENTICATION_FAILED = 4004
"""The gateway's close code for a token it does not know (`topics/opcodes-and-status-codes.mdx`)."""

DISALLOWED_INTENTS = 4014
"""The gateway's close code for an intent that is not switched on (`topics/opcodes-and-status-codes.mdx`)."""

NO_PERMISSION = 50013
"""The error for an action that the permissions in a channel do not allow (`topics/opcodes-and-status-codes.mdx`)."""

NO_HISTORY_TO_REPLY = 160002
"""The error for a reply in a channel whose history may not be read (`topics/opcodes-and-status-codes.mdx`)."""

THREAD_ARCHIVED = 50083
"""The error for a change in a thread that is closed (`topics/opcodes-and-status-codes.mdx`)."""

AUTOMOD_BLOCKED = 200000
"""The error for a text that a server's AutoMod does not let through (`topics/opcodes-and-status-codes.mdx`)."""

UNKNOWN_MESSAGE = 10008
"""The error for a message that is gone (`topics/opcodes-and-status-codes.mdx`)."""

DIRECT_MESSAGES_CLOSED = 50007
"""The error for a direct message that the person does not accept (`topics/opcodes-and-status-codes.mdx`)."""

THREAD_LOCKED = 160005
"""The error for a message in a locked thread (`topics/opcodes-and-status-codes.mdx`)."""

THREAD_EXISTS = 160004
"""The error for a second thread on the same message (`topics/opcodes-and-status-codes.mdx`)."""

INTERACTION_LASTS_S = 15 * 60.0
"""Validity of the token of an interaction (`interactions/receiving-and-responding.mdx`)."""

CUSTOM_ID_CHARACTERS = 100
"""The longest id of a button (`components/reference.mdx`)."""

UNKNOWN_INTERACTION = 10062
"""The error for a first response after 3 seconds (`topics/opcodes-and-status-codes.mdx`)."""

ALREADY_ACKNOWLEDGED = 40060
"""The error for a second first response (`topics/opcodes-and-status-codes.mdx`)."""

UNKNOWN_WEBHOOK = 10015
"""The error for an expired token (`topics/opcodes-and-status-codes.mdx`)."""

INVALID_WEBHOOK_TOKEN = 50027
"""The error for an expired token of a webhook that is still known (`topics/opcodes-and-status-codes.mdx`)."""
