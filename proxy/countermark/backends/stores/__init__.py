"""What must be remembered beyond one process: in an SQLite file of one machine, or in Redis for many."""
