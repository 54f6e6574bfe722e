"""What the product costs, measured: `make bench`, `make replay`, and the figures of decisions."""
