"""The pages of the till, one module for what one does in a moment."""
