"""The `dtf` command, as people and scripts meet it."""
