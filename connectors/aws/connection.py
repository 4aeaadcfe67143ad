"""How a worker reaches AWS: region, credentials, endpoint, time limits. Named by activities, never carried in their inputs.

Nothing here loads boto3. What isn't set is left to boto3's own chain: environment, profiles, web identity, container, instance metadata.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Self

from connectors.core import Connection, Secret


@dataclass(frozen=True, kw_only=True)
class AwsConnection(Connection):
    """One AWS account as seen with one set of credentials. With nothing set it is what boto3 would use by itself."""

    connector: ClassVar[str] = "aws"

    region: str | None = field(default=None, metadata={"help": "for calls that name none, such as eu-west-1"})
    profile: str | None = field(default=None, metadata={"help": "a profile of ~/.aws/config"})
    access_key_id: Secret | None = field(default=None, metadata={"help": "fixed credentials, with secret_access_key"})
    secret_access_key: Secret | None = field(default=None, metadata={"help": "the other half of them"})
    session_token: Secret | None = field(default=None, metadata={"help": "for fixed temporary credentials"})
    role_arn: str | None = field(default=None, metadata={"help": "a role to assume, again before each expiry"})
    external_id: Secret | None = field(default=None, metadata={"help": "what the role's trust policy asks for"})
    role_session_name: str = field(
        default="dtf-runtime", metadata={"help": "how the role's sessions are called in CloudTrail"}
    )
    role_duration: int = field(default=3600, metadata={"help": "seconds that an assumed session lasts, 900 to 43200"})
    endpoint_url: str | None = field(
        default=None, metadata={"help": "of every service, for an emulator or a private one"}
    )
    proxy: str | None = field(default=None, metadata={"help": "URL of an HTTP proxy; one with a password: proxy_url"})
    proxy_url: Secret | None = field(default=None, metadata={"help": "the same, when it holds a password"})
    ca_bundle: str | None = field(default=None, metadata={"help": "path of the certificates to trust, PEM"})
    connect_timeout: float = field(default=5.0, metadata={"help": "seconds until connected"})
    read_timeout: float = field(default=60.0, metadata={"help": "seconds without a byte of the answer"})
    s3_addressing: str = field(default="auto", metadata={"help": "auto, path or virtual: where a bucket's name goes"})

    @classmethod
    def from_chain(cls, name: str) -> Self | None:
        """boto3's chain, whatever the name: a name that isn't `default` is taken for a profile's."""
        return cls(name=name) if name == "default" else cls(name=name, profile=name)

    @property
    def refreshes(self) -> bool:
        """Whether a new session may have other credentials: not when they are fixed here."""
        return self.access_key_id is None or self.role_arn is not None
