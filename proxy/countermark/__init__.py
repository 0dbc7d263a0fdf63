"""countermark: a gateway for private pictures."""

__version__ = "0.1.0"
