"""Which published claims hold: rules, verdicts, and the page docs/claims.md.

python -m evidence.claims FOLDER   adopt a batch's results, rewrite docs/claims.md and its figures
python -m evidence.claims          rewrite docs/claims.md and its figures from data/results/claims
"""
