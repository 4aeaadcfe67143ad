"""What the behaviours share: clock, settings, and moto itself, of which everything that touches its inside is in this module.

Loads moto; so only the server's own process may import it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from connectors.aws.testing.answers import Answer
from connectors.aws.testing.clock import ServerClock
from connectors.aws.testing.settings import Settings

ACCOUNT = "123456789012"
_LOOSE = {"MOTO_ENABLE_AMI_VALIDATION", "MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION"}


class World:
    """`plain`: moto as it comes, for comparison."""

    def __init__(self, *, plain: bool = False) -> None:
        self.clock = ServerClock()
        self.settings = Settings()
        if not plain:
            os.environ.update(dict.fromkeys(_LOOSE, "true"), MOTO_IAM_LOAD_MANAGED_POLICIES="true")
        from moto.core.config import default_user_config
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

        default_user_config["lambda"] = {"use_docker": False}
        self._app = DomainDispatcherApplication(create_backend_app)
        if not plain:
            self._teach()

    def execute(self, environ: dict[str, Any]) -> Answer:
        """The request as moto answers it."""
        from werkzeug.test import run_wsgi_app

        body, status, headers = run_wsgi_app(self._app, environ, buffered=True)
        return Answer(int(status.split()[0]), tuple(headers), b"".join(body))

    def reset(self) -> None:
        from moto.core.base_backend import BackendDict
        from moto.core.model_instances import reset_model_data

        BackendDict.reset()
        reset_model_data()
        self.settings = Settings()
        self.clock.__init__()  # type: ignore[misc]

    def now(self) -> float:
        return self.clock.now()

    def ec2(self, region: str) -> Any:
        from moto.ec2.models import ec2_backends

        return ec2_backends[ACCOUNT][region]

    def instances(self, region: str) -> Iterator[Any]:
        for reservation in list(self.ec2(region).reservations.values()):
            yield from reservation.instances

    def instance(self, region: str, instance_id: str) -> Any | None:
        return next((one for one in self.instances(region) if one.id == instance_id), None)

    def profiles(self) -> Iterator[Any]:
        """IAM's instance profiles."""
        from moto.iam.models import iam_backends

        yield from list(iam_backends[ACCOUNT]["aws"].instance_profiles.values())

    def set_state(self, instance: Any, name: str) -> None:
        instance._state.name, instance._state.code = name, STATES[name]

    def _teach(self) -> None:
        """Filters that moto answers 500."""
        from moto.ec2 import utils

        utils.filter_dict_attribute_mapping["client-token"] = "client_token"


STATES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
