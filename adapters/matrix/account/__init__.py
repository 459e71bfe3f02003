"""Our account: how it is logged in, who it is, and that its device is its own."""
