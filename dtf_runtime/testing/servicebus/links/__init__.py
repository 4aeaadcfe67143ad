"""The AMQP side: connections, channels, links, and the two nodes that answer requests ($cbs, $management)."""
