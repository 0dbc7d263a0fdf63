"""Rotation: the keyring file while it is changed, and the turns that its keys take."""
