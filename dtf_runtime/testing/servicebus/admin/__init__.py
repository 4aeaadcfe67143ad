"""What the administration client talks to: Atom feeds over HTTPS."""
