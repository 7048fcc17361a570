"""Which published claims hold: rules, verdicts, and the page CLAIMS.md.

python -m ledger FOLDER   take over the results of a batch, rewrite CLAIMS.md and its figures
python -m ledger          rewrite them from data/results/claims
"""
