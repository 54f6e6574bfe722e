"""Small measurements behind pages of ``docs/decisions``, each its own program."""
