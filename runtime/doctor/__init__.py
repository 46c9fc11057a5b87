"""What this machine has, what works of it, and how to get the rest."""
