"""Deterministic identifiers: the same cause always makes the same id."""

from hashlib import blake2b


def make_id(*parts: object) -> str:
    """Hash the parts, in order, into an identifier.

    Args:
        parts: What the id stands for, for instance run, stage, causing event and index. Their
            ``str`` forms are joined with a separator that none of them contains.

    Returns:
        32 lower-case hexadecimal characters (128 bits of BLAKE2b).
    """
    return blake2b("\x1f".join(map(str, parts)).encode(), digest_size=16).hexdigest()
