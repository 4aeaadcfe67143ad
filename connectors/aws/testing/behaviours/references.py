"""What a launch names must be there: image, type, key pair, profile (and IAM's news reach EC2 late)."""

import re

from connectors.aws.testing.answers import Answer, error
from connectors.aws.testing.behaviours import Behaviour
from connectors.aws.testing.launch import profile_asked
from connectors.aws.testing.wire import Request

_IMAGE = re.compile(r"ami-[0-9a-f]{8,17}")
_RESOLVED = "resolve:ssm:"


class References(Behaviour):
    def before(self, request: Request) -> Answer | None:
        if request.service == "ec2":
            self.world.ec2(request.region)  # which teaches it
        if request.name != "ec2:RunInstances":
            return None
        return self._image(request) or self._type(request) or self._key(request)

    def after(self, request: Request, answer: Answer) -> Answer:
        """An image that is named by a parameter shows as itself."""
        wanted = request.text("ImageId")
        if request.name == "ec2:RunInstances" and answer.ok and wanted.startswith(_RESOLVED):
            image = self._resolved(request, wanted) or wanted
            for instance in self.world.instances(request.region):
                instance.image_id = image if instance.image_id == wanted else instance.image_id
            return answer.with_text(answer.text.replace(wanted, image))
        return answer

    def _image(self, request: Request) -> Answer | None:
        wanted = image = request.text("ImageId")
        if image.startswith(_RESOLVED):
            image = self._resolved(request, wanted) or ""
            if not image:
                return error(
                    request, "InvalidParameterValue", f"The parameter {wanted[len(_RESOLVED) :]} is not there."
                )
        if not image:
            return None  # by a launch template, or moto says what is missing
        found = self.world.ec2(request.region).amis.get(image)
        if found is None and not _IMAGE.fullmatch(image):
            return error(request, "InvalidAMIID.Malformed", f'Invalid id: "{image}"')
        if found is None:
            return error(request, "InvalidAMIID.NotFound", f"The image id '[{image}]' does not exist")
        if found.state != "available":
            return error(request, "InvalidAMIID.Unavailable", f"The image id '[{image}]' is {found.state}")
        return None

    def _resolved(self, request: Request, wanted: str) -> str | None:
        found = self.world.ssm(request.region).get_parameters([wanted[len(_RESOLVED) :]])
        return next((str(parameter.value) for parameter in found.values()), None)

    def _type(self, request: Request) -> Answer | None:
        wanted = request.text("InstanceType")
        if wanted and wanted not in self.world.instance_types(request.region):
            return error(
                request, "InvalidInstanceType", f"The following supplied instance types do not exist: [{wanted}]"
            )
        return None

    def _key(self, request: Request) -> Answer | None:
        name = request.text("KeyName")
        if name and name not in self.world.ec2(request.region).key_pairs:
            return error(request, "InvalidKeyPair.NotFound", f"The key pair '{name}' does not exist")
        return None


class OwnPolicies(Behaviour):
    """AWS's own managed policies are there without anybody making them."""

    def before(self, request: Request) -> Answer | None:
        arn = request.text("PolicyArn") if request.service == "iam" else ""
        if arn.startswith("arn:aws:iam::aws:policy/") and arn not in self.world.policies():
            policy = self.world.own_policy(arn)
            if policy is not None:
                self.world.policies()[arn] = policy
        return None


class Profiles(Behaviour):
    """EC2 hears of an instance profile, and of its role, some seconds after IAM has answered."""

    _CHANGES = frozenset({"CreateInstanceProfile", "AddRoleToInstanceProfile"})

    def reset(self) -> None:
        self._visible: dict[str, float] = {}

    def before(self, request: Request) -> Answer | None:
        name = profile_asked(request) if request.service == "ec2" else ""
        if not name:
            return None
        found = next((one for one in self.world.profiles() if one.name == name), None)
        if found is None or self._visible.get(name, 0.0) > self.world.now():
            text = f"Value ({name}) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name"
            return error(request, "InvalidParameterValue", text)
        if not found.roles:
            return error(
                request, "InvalidParameterValue", f'IAM Instance Profile "{found.arn}" has no associated IAM Roles'
            )
        return None

    def after(self, request: Request, answer: Answer) -> Answer:
        if request.service == "iam" and request.operation in self._CHANGES and answer.ok:
            self._visible[request.text("InstanceProfileName")] = self.world.now() + self.world.settings.profile
        return answer
