"""Who signed this URL: dialects, and the one path that verifies them all. Pure: `now` and nonces are arguments."""
