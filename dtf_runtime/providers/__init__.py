"""Providers: one folder each, found by URL scheme through the entry points `dtf.providers`. None imports another's insides."""
