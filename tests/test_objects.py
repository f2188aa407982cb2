import socket

import pytest

from lidcflow.config import Access, ObjectsConfig
from lidcflow.errors import ResourceError
from lidcflow.objects import bucket_of, split_url, storage_errors
from tests.object_storage import every


def test_what_was_put_is_there(objects):
    bucket = bucket_of("s3://bucket/a", objects.access)

    bucket.put("a/b", b"content")

    assert bytes(bucket.get("a/b").bytes()) == b"content"


def test_a_server_that_fails_now_and_then_is_asked_again(objects):
    bucket = bucket_of("s3://bucket/a", objects.access)

    with objects.faulty(every(2, 503)):
        for number in range(5):
            bucket.put(f"a/{number}", b"content")

    assert len(bucket.list("a").collect()) == 5


@pytest.mark.parametrize(("status", "sentence"), [(403, "must grant access"), (500, "must answer, got status 500")])
def test_a_server_that_refuses_is_named(objects, status, sentence):
    bucket = bucket_of("s3://bucket/a", objects.access)

    refused = pytest.raises(ResourceError, match=f"^source s3://bucket: .*{sentence}")
    with objects.faulty(every(1, status)), refused, storage_errors("source s3://bucket"):
        bucket.get("a")


def test_no_server_is_one_sentence():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        config = ObjectsConfig(endpoint=f"http://127.0.0.1:{unused.getsockname()[1]}", retries=0, anonymous=True)

        with (
            pytest.raises(ResourceError, match="no connection; check the network"),
            storage_errors("store s3://bucket"),
        ):
            bucket_of("s3://bucket", Access(s3=config)).get("a")


@pytest.mark.parametrize("url", ["s3://", "http://bucket/key", "/folder"])
def test_what_names_no_bucket_is_a_wrong_argument(url):
    with pytest.raises(ValueError, match="s3://bucket/key"):
        split_url(url)
