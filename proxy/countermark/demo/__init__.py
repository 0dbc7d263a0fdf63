"""The demo: a private origin with real photographs, the gateway in front of it, and a tour of what it answers."""
