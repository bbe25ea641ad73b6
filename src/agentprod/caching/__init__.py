"""Answer again from memory: exact, semantic, tool results, and the providers' own prompt caches."""
