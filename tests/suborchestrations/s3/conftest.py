from tests.connectors.aws.conftest import aws, aws_process

__all__ = ["aws", "aws_process"]
