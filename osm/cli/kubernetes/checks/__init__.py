"""What `osm check` judges: facts of a cluster in, lines out, each fault with its remedy. Pure but for the gathering.

One module an area; each of its functions looks at one thing and says what is wrong, or in a line that nothing is.
"""
