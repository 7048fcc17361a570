"""Which published claims hold: rules, decided before our numbers were known, and CLAIMS.md.

python -m ledger FOLDER   take over the results of a batch, rewrite CLAIMS.md and its figures
python -m ledger          rewrite them from data/results/claims
"""
