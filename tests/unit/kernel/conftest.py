"""Property tests take as long as the machine needs; what they may not do is differ."""

from hypothesis import settings

settings.register_profile("patient", deadline=None, print_blob=True)
settings.register_profile("thorough", deadline=None, print_blob=True, max_examples=2_000)
settings.load_profile("patient")
