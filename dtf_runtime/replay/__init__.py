"""Replay: history and new messages in, decisions out. Pure: no I/O, no clock, no provider. The rules are in docs/replay.md, by number."""
