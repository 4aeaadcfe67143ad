"""AWS's error codes and what each means for whoever called. Data alone: `errors.py` reads it, the README shows it.

From the error references of EC2, Systems Manager, IAM, Route 53, S3, SQS and the services of `operations.py`, the common errors that all
services share, and botocore's models. A code of one service alone is written `service:Code` and goes before the plain one. `*` stands for any
beginning.
"""

from enum import StrEnum
from functools import lru_cache


class Kind(StrEnum):
    THROTTLED = "Throttled"
    TRANSIENT = "Transient"
    """Refused and nothing happened; worth another try."""
    UNKNOWN = "Transient or Ambiguous"
    """It may have happened: Transient where a repeat is safe, else Ambiguous."""
    CAPACITY = "CapacityUnavailable"
    AUTHENTICATION = "AuthenticationFailed"
    NOT_FOUND = "NotFound"
    CONFLICT = "Conflict"
    EXISTS = "AlreadyExists"
    PERMANENT = "Permanent"


_THROTTLED = """
    BandwidthLimitExceeded EC2ThrottledException KmsThrottled KMS.ThrottlingException PriorRequestNotComplete
    ProvisionedThroughputExceededException RequestLimitExceeded RequestThrottled RequestThrottledException SlowDown
    SnapshotCreationPerVolumeRateExceeded ThrottledException Throttling ThrottlingException TooManyRequestsException
     ConcurrentSnapshotLimitExceeded
    OverLimit KMSThrottling KMSThrottlingException KmsThrottlingException ExecutionLimitExceeded SendingQuotaExceeded
"""

# Refused before anything was done, and likely to pass: two writers met, a body came too slowly, a change is under way.
_TRANSIENT = """
    ConcurrentModification ConcurrentModificationException ConcurrentTagAccess ConditionalRequestConflict
    IDPCommunicationError OperationAborted RequestTimeout RequestTimeoutException TransactionInProgressException
    EntityTemporarilyUnmodifiable
    BadDigest IncompleteBody XAmzContentSHA256Mismatch TransactionConflictException ReplicatedWriteConflictException
    ResourceNotReadyException ENINotReadyException SnapStartNotReadyException
    AWS.SimpleQueueService.PurgeQueueInProgress
"""

_UNKNOWN = """
    InternalError InternalFailure InternalServerError InternalServiceError ServerInternal ServiceFailure
    ServiceUnavailable ServiceUnavailableException Unavailable ServiceException
    500 502 503 504 InternalException InternalErrorException EC2UnexpectedException InternalServiceFault
"""

_CAPACITY = """
    InsufficientAddressCapacity InsufficientCapacity InsufficientCapacityOnHost InsufficientFreeAddressesInSubnet
    InsufficientHostCapacity InsufficientInstanceCapacity InsufficientReservedInstanceCapacity
    InsufficientVolumeCapacity Unsupported
    MaxSpotInstanceCountExceeded SpotMaxPriceTooLow
    SubnetIPAddressLimitReachedException
"""

_AUTHENTICATION = """
    AccessDenied AccessDeniedException AuthFailure Blocked ExpiredToken ExpiredTokenException IncompleteSignature
    InvalidAccessKeyId InvalidClientTokenId InvalidSignatureException InvalidSecurity InvalidToken
    MissingAuthenticationToken MissingAuthenticationTokenException NotAuthorized OptInRequired PendingVerification
    RequestExpired RequestTimeTooSkewed SignatureDoesNotMatch TokenRefreshRequired UnauthorizedOperation
     UnrecognizedClientException
    403 AllAccessDisabled AuthorizationError KmsAccessDenied KmsAccessDeniedException KMSAccessDenied
    KMSAccessDeniedException EC2AccessDeniedException AccountSuspendedException
"""

_NOT_FOUND = """
    404 AWS.SimpleQueueService.NonExistentQueue DoesNotExistException InvocationDoesNotExist NoSuchBucket NoSuchChange
    NoSuchEntity NoSuchHostedZone NoSuchKey NoSuchUpload NoSuchVersion NotFound ParameterNotFound ParameterVersionNotFound
    QueueDoesNotExist ResourceNotFoundException ssm:InvalidInstanceId ssm:InvalidCommandId ssm:InvalidDocument *.NotFound
    NoSuchBucketPolicy NoSuchLifecycleConfiguration NoSuchPublicAccessBlockConfiguration NoSuchTagSet
    NoSuchWebsiteConfiguration ServerSideEncryptionConfigurationNotFoundError StateMachineDoesNotExist
    ExecutionDoesNotExist ResourceNotFound NotFoundException
"""

_CONFLICT = """
    412 ConditionalCheckFailedException DeleteConflict DependencyViolation DryRunOperation IdempotentInstanceTerminated
    IdempotentParameterMismatch IncorrectInstanceState IncorrectSpotRequestState IncorrectState InvalidAMIID.Unavailable
    InvalidIPAddress.InUse InvalidGroup.InUse InvalidSnapshot.InUse
    InvalidVolume.ZoneMismatch OperationNotPermitted PreconditionFailed Resource.AlreadyAssociated ResourceInUseException
    UnmodifiableEntity VolumeInUse BucketNotEmpty HostedZoneNotEmpty ssm:DuplicateInstanceId InvalidAddress.Locked
    ResourceConflictException
    MessageNotInflight AWS.SimpleQueueService.MessageNotInflight InvalidObjectState TransactionCanceledException
    IdempotentParameterMismatchException StateMachineDeleting EndpointDisabled PlatformApplicationDisabled
"""

_EXISTS = """
    BucketAlreadyExists BucketAlreadyOwnedByYou EntityAlreadyExists HostedZoneAlreadyExists ParameterAlreadyExists
    QueueAlreadyExists QueueNameExists ResourceAlreadyExistsException ResourceExistsException *.Duplicate
    ExecutionAlreadyExists
"""

_PERMANENT = """
    AddressLimitExceeded AttachmentLimitExceeded InstanceLimitExceeded VcpuLimitExceeded VolumeLimitExceeded
    SnapshotLimitExceeded SecurityGroupLimitExceeded RulesPerSecurityGroupLimitExceeded SecurityGroupsPerInstanceLimitExceeded
      LimitExceeded LimitExceededException TagLimitExceeded VolumeTypeNotAvailableInZone
    InvalidAction InvalidBlockDeviceMapping InvalidChangeBatch InvalidInput
    InvalidInstanceType InvalidKey.Format InvalidParameter InvalidParameterCombination InvalidParameterValue
    InvalidQueryParameter InvalidRequest MalformedPolicyDocument MalformedQueryString
    MissingAction MissingParameter NoSuchGeoLocation PackedPolicyTooLarge RegionDisabledException UnknownParameter
    UnsupportedInstanceAttribute UnsupportedOperation UnsupportedPlatformType ValidationError ValidationException
    VPCIdNotSpecified VPCResourceNotSpecified InvalidFilterKey InvalidOutputFolder InvalidPluginName InvalidRole
    MaxDocumentSizeExceeded ParameterPatternMismatchException UnsupportedParameterType *.Malformed
    301 400 405 416 AuthorizationHeaderMalformed PermanentRedirect EntityTooLarge EntityTooSmall InvalidArgument
    InvalidBucketName InvalidPart InvalidPartOrder InvalidRange InvalidTag KeyTooLongError MalformedPolicy
    MalformedXML MetadataTooLarge MethodNotAllowed NotImplemented InvalidStorageClass InvalidEncryptionAlgorithmError
    TooManyBuckets TooManyParts InvalidDigest ReceiptHandleIsInvalid InvalidMessageContents InvalidIdFormat
    InvalidAddress InvalidAttributeName InvalidAttributeValue KmsDisabled KmsInvalidKeyUsage KmsInvalidState
    KmsNotFound KmsOptInRequired KMSDisabled KMSInvalidState KMSNotFound KMSOptInRequired
    InvalidRequestContentException RequestTooLargeException UnsupportedMediaTypeException RecursiveInvocationException
    InvalidParameterValueException InvalidParameterException InvalidRuntimeException ParameterValueInvalid
    ItemCollectionSizeLimitExceededException InvalidArn InvalidExecutionInput InvalidName InvalidNextToken
    MessageRejected MailFromDomainNotVerifiedException SendingPausedException BadRequestException
    InvalidRequestException
"""

_TABLE: dict[str, Kind] = {
    code: kind
    for kind, codes in (
        (Kind.THROTTLED, _THROTTLED),
        (Kind.TRANSIENT, _TRANSIENT),
        (Kind.UNKNOWN, _UNKNOWN),
        (Kind.CAPACITY, _CAPACITY),
        (Kind.AUTHENTICATION, _AUTHENTICATION),
        (Kind.NOT_FOUND, _NOT_FOUND),
        (Kind.CONFLICT, _CONFLICT),
        (Kind.EXISTS, _EXISTS),
        (Kind.PERMANENT, _PERMANENT),
    )
    for code in codes.split()
}
ENDINGS: dict[str, Kind] = {code[1:]: kind for code, kind in _TABLE.items() if code.startswith("*")}
CODES: dict[str, Kind] = {code: kind for code, kind in _TABLE.items() if not code.startswith("*")}

QUOTING = frozenset(
    {"SignatureDoesNotMatch", "IncompleteSignature", "InvalidSignatureException", "MalformedQueryString"}
)
"""Codes whose message quotes the request, headers and all."""

EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"})
"""Nothing happened, and other credentials would do."""


@lru_cache(maxsize=2048)
def listed(service: str, code: str) -> Kind | None:
    """None: in no table."""
    for key in (f"{service}:{code}", code):
        if key in CODES:
            return CODES[key]
    return next((kind for ending, kind in ENDINGS.items() if code.endswith(ending)), None)
