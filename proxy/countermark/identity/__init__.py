"""Who is asking: clients, sessions, and what was taken back from whom."""
