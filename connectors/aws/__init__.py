"""The AWS connector. Importing it loads no boto3; the first call does."""

from connectors.aws.connection import AwsConnection

__all__ = ["AwsConnection"]
