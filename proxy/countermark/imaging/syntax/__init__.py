"""URL syntaxes: how other systems' query parameters say the same operations."""
