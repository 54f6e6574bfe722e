"""What drives a relay: shops made beforehand, and clients that cost little enough to be many."""
