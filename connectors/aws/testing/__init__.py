"""AWS on 127.0.0.1 for tests: moto's server with what moto leaves out, faults on the wire, and a count of what was really done.

    with AwsServer() as aws, using(aws.connection()):
        run_instances.fn(RunInstances(...))
        assert aws.count("RunInstances") == 1

Needs the extra `testing`. Importing it loads neither moto nor boto3. The table of behaviours is in the README beside this file.
"""

from connectors.aws.testing.calls import Call
from connectors.aws.testing.server import REGION, AwsServer

__all__ = ["REGION", "AwsServer", "Call"]
