"""`provision_ec2`: a server with all that it needs, or nothing.

image -> security group -> key pair -> instance profile -> instance (capacity: next zone, next type) -> running -> status checks -> bootstrap
-> address -> DNS record. Everything that is made carries the `dtf:run` tag from the request that makes it, so that undoing finds it whatever
was lost on the way.
"""

from itertools import product
from typing import Any

from connectors.aws.ec2 import (
    AllocateAddress,
    AllocateAddressResult,
    AssociateAddress,
    AssociateAddressResult,
    CreateSecurityGroup,
    CreateSecurityGroupResult,
    DescribeImages,
    ImportKeyPair,
    ImportKeyPairResult,
    Instance,
    RunInstances,
    RunInstancesResult,
    SecurityGroupRules,
    allocate_address,
    associate_address,
    authorize_rules,
    create_security_group,
    describe_images,
    import_key_pair,
    run_instances,
)
from connectors.aws.iam import (
    CreateInstanceProfile,
    CreateInstanceProfileResult,
    InstanceProfileRole,
    add_role_to_instance_profile,
    create_instance_profile,
)
from connectors.aws.route53 import (
    ChangeResult,
    DeleteRecord,
    ListRecords,
    Record,
    UpsertRecords,
    delete_record,
    list_records,
    upsert_records,
)
from connectors.aws.ssm import ParameterName, SendCommand, SendCommandResult, resolve_image, send_command
from connectors.aws.waits import (
    WaitForAgents,
    WaitForChecks,
    WaitForCommand,
    WaitForInstances,
    wait_for_agents,
    wait_for_command,
    wait_for_instance_checks,
    wait_for_instances,
)
from connectors.core import AlreadyExists, CapacityUnavailable, InvalidRequest, Mutation, Permanent
from dtf_runtime import OrchestrationContext, TaskFailedError, orchestration
from suborchestrations.ec2.models import Server, ServerSpec
from suborchestrations.ec2.removing import (
    RUN_TAG,
    Run,
    remove_addresses,
    remove_groups,
    remove_instances,
    remove_key_pair,
    remove_profile,
    run_of,
)
from suborchestrations.steps import Leftover, Steps, patient

STEPS = (
    "image",
    "security group",
    "key pair",
    "instance profile",
    "instance",
    "running",
    "status checks",
    "bootstrap",
    "address",
    "dns record",
)
_COST = "the instance by the second while it runs, its volumes by the GiB and month"


@orchestration(name="suborchestrations.ec2.provision", version="1")
async def provision_ec2(ctx: OrchestrationContext, spec: ServerSpec) -> Server:
    """Makes a server. Fails with StepFailedError, by default after removing all that it had made; its `failure.properties` has `left`, what could
    not be removed and the commands that do."""
    if not spec.instance_types:
        raise InvalidRequest("provision_ec2 needs at least one instance type")
    async with Steps(ctx, spec, STEPS) as steps:
        return await _Provision(spec, run_of(ctx, spec), steps).server()


class _Provision:
    """One run of it. A method a step."""

    def __init__(self, spec: ServerSpec, run: Run, steps: Steps) -> None:
        self.spec, self.run, self.steps = spec, run, steps
        self.where: dict[str, Any] = {"connection": spec.connection, "region": spec.region}
        self.tags = {**spec.tags, "Name": spec.name, RUN_TAG: run.tag}
        self.ids: dict[str, str] = {}  # of what was made, by kind

    async def server(self) -> Server:
        spec = self.spec
        image = await self.steps.look("image", self.image, detail=str)
        group = await self.group()
        key_name = await self.key_pair()
        profile = await self.profile()
        instance = await self.instance(image, group, key_name, profile)
        await self.checks(instance.instance_id)
        output = await self.bootstrap(instance.instance_id)
        address = await self.address(instance.instance_id)
        public_ip = address.public_ip if address else instance.public_ip
        dns_name = await self.dns(public_ip or instance.private_ip)
        return Server(
            planned=self.steps.planned,
            instance_id=instance.instance_id,
            image_id=image,
            instance_type=instance.instance_type,
            zone=instance.zone,
            private_ip=instance.private_ip,
            public_ip=public_ip,
            security_group_id=group,
            key_name=key_name or "",
            instance_profile=profile or "",
            allocation_id=address.allocation_id if address else "",
            dns_name=dns_name,
            bootstrap_output=output,
            run=self.run.tag,
            cost=f"{_COST}; the address by the hour" if spec.elastic_ip else _COST,
        )

    async def image(self) -> str:
        if not self.spec.image.startswith("ami-"):
            return (await patient(resolve_image)(ParameterName(name=self.spec.image, **self.where))).image_id
        found = await patient(describe_images)(DescribeImages(image_ids=[self.spec.image], **self.where))
        if found.images and found.images[0].state != "available":
            raise Permanent(f"image {self.spec.image} is {found.images[0].state}, not available")
        return self.spec.image

    async def group(self) -> str:
        spec, name = self.spec, "security group"
        if not spec.rules:
            self.steps.skip(name)
            return ""
        made = await self.steps.make(
            name,
            create_security_group,
            CreateSecurityGroup(
                name=spec.name, description=f"of {spec.name}", vpc_id=spec.vpc_id, tags=self.tags, **self.where
            ),
            assumed=CreateSecurityGroupResult(group_id="<security group>", created=True),
            undo=lambda: remove_groups(self.run),
            left=lambda: self.left(name, "aws ec2 delete-security-group --group-id {id}"),
        )
        self.ids[name] = made.group_id
        await self.steps.make(
            name,
            authorize_rules,
            SecurityGroupRules(group_id=made.group_id, rules=spec.rules, just_made=True, **self.where),
            assumed=Mutation(),
            detail=lambda _: made.group_id,
        )
        return made.group_id

    async def key_pair(self) -> str | None:
        spec = self.spec
        if spec.public_key is None:
            self.steps.skip("key pair")
            return spec.key_name
        made = await self.steps.make(
            "key pair",
            import_key_pair,
            ImportKeyPair(name=spec.name, public_key=spec.public_key, tags=self.tags, **self.where),
            assumed=ImportKeyPairResult(key_pair_id="<key pair>", fingerprint="", created=True),
            undo=lambda: remove_key_pair(self.run, spec.name),
            left=lambda: self.left("key pair", "aws ec2 delete-key-pair --key-pair-id {id}"),
            detail=lambda pair: pair.key_pair_id,
        )
        self.ids["key pair"] = made.key_pair_id
        return spec.name

    async def profile(self) -> str | None:
        spec, name = self.spec, "instance profile"
        if spec.role is None:
            self.steps.skip(name)
            return spec.instance_profile
        await self.steps.make(
            name,
            create_instance_profile,
            CreateInstanceProfile(name=spec.name, tags=self.tags, **self.where),
            assumed=CreateInstanceProfileResult(name=spec.name, arn="<instance profile>", created=True),
            undo=lambda: remove_profile(self.run, spec.name),
            left=lambda: self.left(
                name,
                f"aws iam remove-role-from-instance-profile --instance-profile-name {spec.name} --role-name {spec.role} ; "
                f"aws iam delete-instance-profile --instance-profile-name {spec.name}",
            ),
        )
        self.ids[name] = spec.name
        await self.steps.make(
            name,
            add_role_to_instance_profile,
            InstanceProfileRole(name=spec.name, role=spec.role, **self.where),
            assumed=Mutation(),
            detail=lambda _: f"{spec.name} with role {spec.role}",
        )
        return spec.name

    async def instance(self, image: str, group: str, key_name: str | None, profile: str | None) -> Instance:
        """Each zone with each type until one has room: every try is a call of its own, so with a token of its own."""
        spec = self.spec
        groups = [*spec.security_group_ids, *([group] if group else [])]
        candidates = list(product(spec.zones or ("",), spec.instance_types))
        for position, (zone, instance_type) in enumerate(candidates):
            call = RunInstances(
                image_id=image,
                instance_type=instance_type,
                zone=zone or None,
                subnet_id=spec.subnet_id,
                security_group_ids=groups,
                key_name=key_name,
                instance_profile=profile,
                user_data=spec.user_data,
                public_ip=spec.public_ip,
                block_devices=spec.block_devices,
                spot=spec.spot,
                tags=self.tags,
                just_made=bool(spec.rules or spec.public_key or spec.role),
                **self.where,
            )
            try:
                return await self.launched(call)
            except TaskFailedError as error:
                if position + 1 == len(candidates) or not error.failure.is_caused_by(CapacityUnavailable):
                    raise
                self.steps.fell_back("instance", f"no room for {instance_type} in {zone or 'any zone'}")
        raise AssertionError("unreachable")

    async def launched(self, call: RunInstances) -> Instance:
        spec = self.spec
        made = await self.steps.make(
            "instance",
            run_instances,
            call,
            assumed=RunInstancesResult(
                reservation_id="",
                instances=[
                    Instance(
                        instance_id="<instance>",
                        state="pending",
                        instance_type=call.instance_type or "",
                        zone=call.zone or "",
                    )
                ],
            ),
            undo=lambda: remove_instances(self.run),
            left=lambda: self.left("instance", "aws ec2 terminate-instances --instance-ids {id}"),
            detail=lambda result: f"{result.instance_ids[0]}, {call.instance_type}",
        )
        instance_id = self.ids["instance"] = made.instance_ids[0]
        wait = WaitForInstances(
            instance_ids=[instance_id], poll_interval=spec.poll_interval, timeout=spec.deadline, **self.where
        )

        async def running() -> Instance:
            return (await wait_for_instances(wait)).instances[0]

        return await self.steps.wait("running", running, assumed=made.instances[0])

    async def checks(self, instance_id: str) -> None:
        if not self.spec.wait_for_checks:
            self.steps.skip("status checks")
            return
        wait = WaitForChecks(
            instance_ids=[instance_id], poll_interval=self.spec.poll_interval, timeout=self.spec.deadline, **self.where
        )
        await self.steps.wait(
            "status checks", lambda: wait_for_instance_checks(wait), assumed=None, detail=lambda _: "2/2"
        )

    async def bootstrap(self, instance_id: str) -> str:
        spec, name = self.spec, "bootstrap"
        if not spec.bootstrap:
            self.steps.skip(name)
            return ""
        ids = [instance_id]
        waiting: dict[str, Any] = {"instance_ids": ids, "poll_interval": spec.poll_interval, **self.where}
        await self.steps.wait(
            name, lambda: wait_for_agents(WaitForAgents(timeout=spec.deadline, **waiting)), assumed=None
        )
        sent = await self.steps.make(
            name,
            send_command,
            SendCommand(
                instance_ids=ids,
                commands=spec.bootstrap,
                execution_timeout=spec.bootstrap_timeout,
                comment=spec.name,
                **self.where,
            ),
            assumed=SendCommandResult(command_id="<command>"),
        )

        async def ended() -> str:
            wait = WaitForCommand(command_id=sent.command_id, timeout=float(spec.bootstrap_timeout + 600), **waiting)
            (result,) = (await wait_for_command(wait)).results
            if result.status != "Success":
                raise Permanent(
                    f"bootstrap on {instance_id} ended as {result.status} with exit code {result.exit_code}: {result.stderr[-500:] or result.details}"
                )
            return result.stdout

        return await self.steps.wait(name, ended, assumed="<output>", detail=lambda _: "succeeded")

    async def address(self, instance_id: str) -> AllocateAddressResult | None:
        name = "address"
        if not self.spec.elastic_ip:
            self.steps.skip(name)
            return None
        made = await self.steps.make(
            name,
            allocate_address,
            AllocateAddress(tags=self.tags, **self.where),
            assumed=AllocateAddressResult(allocation_id="<address>", public_ip="<public ip>"),
            undo=lambda: remove_addresses(self.run),
            left=lambda: self.left(name, "aws ec2 release-address --allocation-id {id}"),
        )
        self.ids[name] = made.allocation_id
        await self.steps.make(
            name,
            associate_address,
            AssociateAddress(allocation_id=made.allocation_id, instance_id=instance_id, just_made=True, **self.where),
            assumed=AssociateAddressResult(association_id="<association>"),
            detail=lambda _: made.public_ip,
        )
        return made

    async def dns(self, address: str) -> str:
        record, name = self.spec.dns, "dns record"
        if record is None:
            self.steps.skip(name)
            return ""
        zone: dict[str, Any] = {"zone_id": record.zone_id, **self.where}
        found = await self.steps.look(
            name, lambda: patient(list_records)(ListRecords(name=record.name, type="A", **zone))
        )
        if found.records and not record.replace:
            raise AlreadyExists(f"{record.name} has an A record already; `replace=True` replaces it")

        self.ids[name] = record.name

        async def undo() -> None:
            if found.records:
                await patient(upsert_records)(UpsertRecords(records=found.records, **zone))
            else:
                await patient(delete_record)(DeleteRecord(name=record.name, type="A", only_values=[address], **zone))

        await self.steps.make(
            name,
            upsert_records,
            UpsertRecords(records=[Record(name=record.name, type="A", values=[address], ttl=record.ttl)], **zone),
            assumed=ChangeResult(change_id="<change>", status="PENDING"),
            undo=undo,
            left=lambda: self.left(
                name, f"aws route53 change-resource-record-sets --hosted-zone-id {record.zone_id} --change-batch ..."
            ),
            detail=lambda _: f"{record.name} -> {address}",
        )
        return record.name

    def left(self, what: str, command: str) -> list[Leftover]:
        """`command` has an `{id}`. An id that never came has to be looked for by its tag."""
        id_ = self.ids.get(what) or f"(tagged {RUN_TAG}={self.run.tag})"
        region = f" --region {self.spec.region}" if self.spec.region else ""
        return [Leftover(what=what, id=id_, command=command.format(id=id_) + region)]
