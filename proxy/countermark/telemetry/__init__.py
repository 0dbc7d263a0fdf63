"""What is told of a request: metrics and log, made of one event."""
