"""The one text of a JSON value, and what a seal covers."""

import hashlib
import json

import pytest

from landscape.seal import SEAL, canonical_json, digest_of, seal_of, sealed, text_digest


def test_equal_values_have_one_text_whatever_their_order() -> None:
    assert canonical_json({"b": [1, 0.1], "a": "é"}) == '{"a":"\\u00e9","b":[1,0.1]}'
    assert digest_of({"b": 1, "a": 2}) == hashlib.sha256(b'{"a":2,"b":1}').hexdigest() == text_digest('{"a":2,"b":1}')


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_has_no_text(number: float) -> None:
    for make in (canonical_json, digest_of, lambda value: sealed({"a": value})):
        with pytest.raises(ValueError, match="not JSON compliant"):
            make(number)


def test_a_seal_covers_everything_but_itself() -> None:
    fields = json.loads(sealed({"a": 1, SEAL: "old"}))
    assert fields == {"a": 1, SEAL: digest_of({"a": 1})}
    assert seal_of(fields) == fields[SEAL] != seal_of({**fields, "a": 2})
