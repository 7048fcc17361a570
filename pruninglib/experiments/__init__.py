"""The study: datasets, networks, evaluation, timing, sweeps, tables."""
