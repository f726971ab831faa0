"""What the search for tools is made of: words, a lexicon, an index, what is sure, and meanings from a model."""
