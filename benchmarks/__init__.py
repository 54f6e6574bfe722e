"""What the product costs, measured: `make bench`, `make replay`, and a register alone (`register`)."""
