"""What the use cases reach through ports: origins, caches, flights, stores."""
