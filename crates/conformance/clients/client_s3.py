"""An upload by AWS's SDK, as it does one by itself."""

import os

import boto3
from botocore.config import Config

store = boto3.client(
    "s3",
    endpoint_url=os.environ["BASE"],
    region_name="eu-central-1",
    aws_access_key_id="AKIDSOMEBODY",
    aws_secret_access_key="somebody's own",
    config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
)
print(store.put_object(Bucket="signed", Key="upload", Body=b"some content")["ETag"])
