"""Recipes: runs that were kept, to be done again without a model while their checks hold."""
