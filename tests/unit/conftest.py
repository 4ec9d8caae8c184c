"""What all unit tests share."""

from hypothesis import settings

# How long one example takes on a busy machine says nothing of the code.
settings.register_profile("osm", deadline=None)
settings.load_profile("osm")
