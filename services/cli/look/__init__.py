"""Commands of the group Look: state, events, statistics, explanations."""
