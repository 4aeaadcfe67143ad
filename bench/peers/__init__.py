"""Adapters for other durable engines, one file each. They run in an environment of their own, `bench/.peers/`."""
