"""This machine's copy of the list of revocations: one big file for all processes, and the newest in each one's memory."""
