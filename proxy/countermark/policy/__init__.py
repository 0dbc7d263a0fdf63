"""Policies: templates of who may have what, from where, how often and until when; loaded, linted, tried, compared."""
