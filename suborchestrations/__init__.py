"""Ready orchestrations, one file a family: call them from yours, or start them by themselves. Nothing is imported here."""
