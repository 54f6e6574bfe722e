"""The shops of a relay: their owners, their devices, what each may."""
