"""Serving: sockets, TLS, the door, health, metrics, logs."""
