"""The store of many machines: Redis or Valkey, as one server, a Sentinel group or a Cluster."""
