"""Wire formats: how to read, edit and rebuild requests, replies and streams."""
