"""Belonging to a shop: joining, leaving, taking the place of a lost register, being cut off."""
