"""Fuzzers: `scripts/fuzz NAME` runs a module of this folder."""
