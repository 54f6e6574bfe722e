"""A register's folder: who it is, its key, who may do what in it, opening it."""
