"""Which published claims hold: rules, verdicts, and the page CLAIMS.md.

python -m evidence.claims FOLDER   take over a batch's results, rewrite CLAIMS.md and its figures
python -m evidence.claims          rewrite these from data/results/claims
"""
