"""What a queue does, without sockets: pure state on a clock. Links are told by methods of the `Receiver` protocol."""
