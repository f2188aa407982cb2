"""What of turns between machines needs no server; the rest is in tests/cluster/test_turns_between_machines.py."""

import pytest

from lidcflow.catalog.turns import lock_key, turn
from lidcflow.errors import ResourceError


def test_a_database_that_does_not_answer_is_named_without_its_password():
    nobody = "postgresql+pg8000://me:s3cret@127.0.0.1:1/catalog"

    with pytest.raises(ResourceError) as refused, turn(nobody, "train", alone=True):
        pass

    assert str(refused.value) == (
        "catalog postgresql+pg8000://me:***@127.0.0.1:1/catalog: the database must answer to say whose turn it is, got "
        "InterfaceError; start it, or check catalog_url"
    )


def test_the_keys_of_turns_fit_64_bits_with_sign_and_are_the_same_for_every_version():
    assert lock_key("train") == 2223091973700737793
    assert lock_key("preprocess") == -1605081232073715467
