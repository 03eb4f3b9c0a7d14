"""Two versions of one event beside each other: what both say, and what only one does."""

from difflib import SequenceMatcher

from services.explain import narration
from services.kernel.events import AnyEvent

SAME, ONLY_BEFORE, ONLY_AFTER = " ", "-", "+"


def compared(before: AnyEvent | None, after: AnyEvent | None) -> list[str]:
    """The lines of both; each begins with a sign that says which version has it."""
    ours, theirs = _lines(before), _lines(after)
    text: list[str] = []
    for kind, first, last, begin, end in SequenceMatcher(None, ours, theirs, False).get_opcodes():
        if kind == "equal":
            text += [f"{SAME} {line}" for line in ours[first:last]]
        else:
            text += [f"{ONLY_BEFORE} {line}" for line in ours[first:last]]
            text += [f"{ONLY_AFTER} {line}" for line in theirs[begin:end]]
    return text


def _lines(event: AnyEvent | None) -> list[str]:
    if event is None:
        return ["nothing"]
    title, lines = narration.figures_of(event)
    return [title, *lines]
