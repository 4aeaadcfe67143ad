"""The AWS connector: `from connectors.aws.ec2 import RunInstances, run_instances`, one package or module a service, waits in
`connectors.aws.waits`. Its errors are those of `connectors.core`.

Importing it loads no boto3; the first call does.
"""

from connectors.aws import ec2, iam, operations, route53, s3, sqs, ssm, waits
from connectors.aws.connection import AwsConnection
from connectors.aws.waits import DeadlinePassed, WaitFailed
from connectors.core.connections import settings, variable
from dtf_runtime import ConnectorInfo

__all__ = ["CONNECTOR", "AwsConnection", "DeadlinePassed", "WaitFailed"]

CONNECTOR = ConnectorInfo(
    name="aws",
    version="1",
    activities=(
        *ec2.ACTIVITIES,
        *iam.ACTIVITIES,
        *operations.ACTIVITIES,
        *route53.ACTIVITIES,
        *s3.ACTIVITIES,
        *sqs.ACTIVITIES,
        *ssm.ACTIVITIES,
    ),
    orchestrations=(*s3.ORCHESTRATIONS, *waits.ORCHESTRATIONS),
    connection=AwsConnection,
    environment={
        variable(AwsConnection, "default", field.name): str(field.metadata["help"]) for field in settings(AwsConnection)
    }
    | {
        "AWS_PROFILE, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN": "credentials, where the connection has none",
        "AWS_REGION, AWS_DEFAULT_REGION": "the region, where neither call nor connection names one",
        "AWS_CONFIG_FILE, AWS_SHARED_CREDENTIALS_FILE": "where the profiles are",
    },
)
