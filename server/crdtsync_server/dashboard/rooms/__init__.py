"""The rooms of the back office: one page of the house each, with what its forms do."""
