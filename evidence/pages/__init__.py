"""Write what README.md and docs/ say in numbers, from data/results.

python -m evidence.pages

A page marks what is written by code: `<!-- NAME: written by evidence.pages -->` to `<!-- end of
NAME -->`. A table that is not there yet is said to be missing. The address of the repository, if
pyproject.toml has one, goes into the README's badges and the notebooks' cells for Colab.
"""
