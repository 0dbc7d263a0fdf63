"""Private stores of originals, one file a kind; `table.py` names them by the scheme of their address."""
