"""aiohttp in and out: the only room that knows HTTP objects."""
