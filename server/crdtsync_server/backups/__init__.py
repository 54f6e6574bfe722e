"""Backups of a relay: written, put back, and what is missing afterwards."""
