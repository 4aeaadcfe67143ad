"""AMQP 1.0 as bytes: types, performatives, frames, message sections. Knows no sockets and no queues."""
