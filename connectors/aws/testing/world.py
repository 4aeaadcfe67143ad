"""What the behaviours share: clock, settings, and moto itself, of which everything that touches its inside is in this module.

Loads moto; so only the server's own process may import it.
"""

from __future__ import annotations

import heapq
import itertools
import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from connectors.aws.testing.answers import Answer
from connectors.aws.testing.clock import ServerClock
from connectors.aws.testing.settings import Settings

ACCOUNT = "123456789012"


class World:
    def __init__(self) -> None:
        self.clock = ServerClock()
        self.settings = Settings()
        self.running_since: dict[str, float] = {}
        """From an instance to the time at which it last began to run."""
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._ordinal = itertools.count()
        from moto.core.config import default_user_config
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

        default_user_config["lambda"] = {"use_docker": False}
        self._app = DomainDispatcherApplication(create_backend_app)

    def execute(self, environ: dict[str, Any]) -> Answer:
        """The request as moto answers it."""
        from werkzeug.test import run_wsgi_app

        body, status, headers = run_wsgi_app(self._app, environ, buffered=True)
        return Answer(int(status.split()[0]), tuple(headers), b"".join(body))

    def reset(self) -> None:
        """An empty account. (moto's own reset makes every backend anew twice, which takes a second once IAM's policies are among them.)"""
        from moto.core import base_backend
        from moto.core.model_instances import reset_model_data

        used: list[Any] = vars(base_backend.BackendDict)["_instances"]
        for backends in used:
            if backends.service_name == "s3":
                for account in backends.values():
                    account.reset()  # which closes its files
            backends.clear()
        used.clear()
        reset_model_data()
        self.settings = Settings()
        self.running_since.clear()
        self._due.clear()
        self.clock.reset()

    def now(self) -> float:
        return self.clock.now()

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Done before the first request that comes so much later."""
        heapq.heappush(self._due, (self.now() + seconds, next(self._ordinal), action))

    def settle(self) -> None:
        """Does what is due."""
        while self._due and self._due[0][0] <= self.now():
            heapq.heappop(self._due)[2]()

    def ec2(self, region: str) -> Any:
        """Its backend, taught a filter that moto answers 500."""
        from moto.ec2 import utils
        from moto.ec2.models import ec2_backends

        utils.filter_dict_attribute_mapping["client-token"] = "client_token"
        return ec2_backends[ACCOUNT][region]

    def ssm(self, region: str) -> Any:
        from moto.ssm.models import ssm_backends

        return ssm_backends[ACCOUNT][region]

    def instances(self, region: str) -> Iterator[Any]:
        for reservation in list(self.ec2(region).reservations.values()):
            yield from reservation.instances

    def instance(self, region: str, instance_id: str) -> Any | None:
        return next((one for one in self.instances(region) if one.id == instance_id), None)

    def zone_of(self, region: str, subnet_id: str) -> str:
        """ "" when there is no such subnet."""
        found = (zones.get(subnet_id) for zones in self.ec2(region).subnets.values())
        return next((str(subnet.availability_zone) for subnet in found if subnet is not None), "")

    def profiles(self) -> Iterator[Any]:
        """IAM's instance profiles."""
        from moto.iam.models import iam_backends

        yield from list(iam_backends[ACCOUNT]["aws"].instance_profiles.values())

    def roles(self) -> Iterator[Any]:
        """IAM's."""
        from moto.iam.models import iam_backends

        yield from list(iam_backends[ACCOUNT]["aws"].roles.values())

    def instance_types(self, region: str) -> frozenset[str]:
        return _instance_types(region)

    def policies(self) -> dict[str, Any]:
        """IAM's managed policies, by ARN."""
        from moto.iam.models import iam_backends

        found: dict[str, Any] = iam_backends[ACCOUNT]["aws"].managed_policies
        return found

    def own_policy(self, arn: str) -> Any | None:
        """One of AWS's own policies, which moto loads all or none: a quarter of a second for each account that is begun."""
        from moto.iam.models import AWSManagedPolicy

        name = arn.rpartition("/")[2]
        data = _own_policies().get(name)
        found = AWSManagedPolicy.from_data(name, ACCOUNT, "aws", data) if data else None
        return found if found is not None and found.arn == arn else None

    def set_state(self, instance: Any, name: str) -> None:
        instance._state.name, instance._state.code = name, STATES[name]


@lru_cache
def _instance_types(region: str) -> frozenset[str]:
    from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS

    return frozenset(one["InstanceType"] for one in INSTANCE_TYPE_OFFERINGS["region"].get(region, []))


@lru_cache
def _own_policies() -> dict[str, Any]:
    from moto.iam.aws_managed_policies import aws_managed_policies_data

    found: dict[str, Any] = json.loads(aws_managed_policies_data)
    return found


STATES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
