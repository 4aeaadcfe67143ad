"""The benchmarks: our engine, the bound of its design and the peers, on the same workloads and the same clock.

`python -m bench` (or `make bench`) runs them; README.md says how and holds the medians. Nothing here is imported by the
runtime, and nothing here may make a figure look better than what a user would see.
"""
