"""Keys: the keyring, its states and dates."""
