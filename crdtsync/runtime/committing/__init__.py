"""Bringing records to disk: judged, bounded, in one transaction; and what a log needs besides."""
