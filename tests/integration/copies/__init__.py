"""Folders that are copied, put back and wiped under real processes. Nothing in here imports the product."""
