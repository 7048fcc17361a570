"""Run the study: datasets, networks, evaluation, timing, sweeps, tables."""
