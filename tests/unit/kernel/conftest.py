"""Property tests take as long as the machine needs; what they may not do is differ."""

from hypothesis import settings

settings.register_profile("patient", deadline=None, print_blob=True)
settings.load_profile("patient")
