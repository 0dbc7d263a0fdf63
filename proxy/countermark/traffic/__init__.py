"""How often: the arithmetic of rates."""
