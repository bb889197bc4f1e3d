"""The one text of a JSON value, its digest, and the seal of a header: the digest of everything else in it.

A seal tells damage from what was written, not who wrote it: whoever can change a file can seal it again.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any

METADATA_KEY = "landscape"  # of a safetensors file: under it stands the sealed header of a point or a record
SEAL = "seal"


def canonical_json(value: Any) -> str:
    """Returns the one text of a JSON value: sorted keys, no spaces, ASCII, the shortest digits of every number.

    Raises:
        ValueError: If a number in it is not finite.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest_of(value: Any) -> str:
    """Returns the sha256 of the canonical text of a JSON value, in hexadecimal digits.

    Raises:
        ValueError: If a number in it is not finite.
    """
    return text_digest(canonical_json(value))


def text_digest(text: str) -> str:
    """Returns the sha256 of a canonical text, in hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def text_digests(before: str, middles: Iterable[str], after: str) -> Iterator[str]:
    """Yields the `text_digest` of texts that differ in the middle; what stands before it is read once."""
    begun, end = hashlib.sha256(before.encode()), after.encode()
    for middle in middles:
        whole = begun.copy()
        whole.update(middle.encode() + end)
        yield whole.hexdigest()


def sealed(header: dict[str, Any]) -> str:
    """Returns the canonical text of a header with its seal; one that it had is replaced.

    Raises:
        ValueError: If a number in it is not finite.
    """
    return canonical_json({**header, SEAL: seal_of(header)})


def seal_of(header: dict[str, Any]) -> str:
    """Returns the seal that a header must have: the digest of all its entries but the seal itself.

    Raises:
        ValueError: If a number in it is not finite.
    """
    return digest_of({key: value for key, value in header.items() if key != SEAL})
