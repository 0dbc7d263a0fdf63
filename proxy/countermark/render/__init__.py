"""The render wall: fork-server children in a sandbox, the gate in front of them, and the libvips engine behind it."""
