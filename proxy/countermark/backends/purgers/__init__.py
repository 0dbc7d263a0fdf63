"""CDNs and caches that forget what is revoked."""
