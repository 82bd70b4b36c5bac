"""A scorecard as people and programs read it: text, one self-contained page of HTML, and JSON that reproduces it."""
