"""Which published claims hold: rules, verdicts, and the page CLAIMS.md.

python -m evidence.claims FOLDER   adopt a batch's results, rewrite CLAIMS.md and its figures
python -m evidence.claims          rewrite CLAIMS.md and its figures from data/results/claims
"""
