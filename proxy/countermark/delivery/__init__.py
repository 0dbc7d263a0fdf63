"""The data plane: one stage a file, from a request to an answer."""
