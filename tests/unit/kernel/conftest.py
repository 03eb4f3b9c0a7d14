"""Property tests take as long as the machine needs; what they may not do is differ."""

from hypothesis import Phase, settings

settings.register_profile("patient", deadline=None, print_blob=True)
settings.register_profile("thorough", deadline=None, print_blob=True, max_examples=2_000)
settings.register_profile(
    "mutants",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=20,
    phases=(Phase.explicit, Phase.generate),
)
settings.load_profile("patient")
