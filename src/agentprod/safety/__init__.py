"""Personal data, prompt injection and tool calls: what must not leave, and what must not get in."""
