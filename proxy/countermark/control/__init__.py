"""Use cases of those who run the gateway: revocations, sessions, and what must be told or purged because of them."""
