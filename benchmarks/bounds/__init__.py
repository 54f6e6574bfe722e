"""The same work with nothing of the product in it. Not touched by a commit that changes the product."""
