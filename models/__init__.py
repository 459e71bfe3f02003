"""Language models: generate text from a conversation. Independent of chat platforms and documents."""
