"""Matrix as a chat platform: messages in, replies out, encrypted where the room is."""
