"""End-to-end encryption of our device: its keys, room keys, and decryption."""
