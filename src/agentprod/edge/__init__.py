"""Where the onion meets the world: SDK clients, functions, streams."""
