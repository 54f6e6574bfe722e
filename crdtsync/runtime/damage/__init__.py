"""What was refused, held or damaged: kept, rescued, salvaged."""
