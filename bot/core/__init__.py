"""The one asyncio core: decides, owns conversations, knows no platform."""
