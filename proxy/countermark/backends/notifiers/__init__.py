"""Ways to people on call, and to a SIEM."""
