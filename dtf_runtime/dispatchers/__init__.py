"""Pull work items, run replay or an activity, commit: one file for orchestrations, one for activities."""
