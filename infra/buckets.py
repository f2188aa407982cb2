"""Make buckets where they are missing: ``python buckets.py NAME...``; AWS_ENDPOINT_URL and the like say where."""

import sys
from collections.abc import Sequence

import boto3
from botocore.exceptions import ClientError

OURS_ALREADY = {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}


def main(names: Sequence[str]) -> None:
    """Make each bucket; one that is there stays as it is."""
    storage = boto3.client("s3")
    for name in names:
        try:
            storage.create_bucket(Bucket=name)
        except ClientError as error:
            if error.response["Error"]["Code"] not in OURS_ALREADY:
                raise


if __name__ == "__main__":
    main(sys.argv[1:])
