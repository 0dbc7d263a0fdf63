"""One measurement a file: `measure(setting)` hands back a Result. `table.py` lists them."""
