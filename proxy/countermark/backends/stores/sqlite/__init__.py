"""The store of one machine: an SQLite file that its worker processes share."""
