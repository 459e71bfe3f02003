"""Discord as a chat platform: messages in, replies out."""
