"""EC2: one module a kind of resource. Loads no boto3."""
