"""What the broker refuses, in Service Bus's own words: the condition travels on links, the status in answers."""


class Refused(Exception):
    """`condition` is what the SDK maps to an exception of its own; `status` is that of HTTP and of management answers."""

    def __init__(self, condition: str, description: str, status: int) -> None:
        super().__init__(description)
        self.condition = condition
        self.description = description
        self.status = status


def message_lock_lost() -> Refused:
    return Refused(
        "com.microsoft:message-lock-lost",
        "The lock supplied is invalid. Either the lock expired, or the message has already been removed from the queue.",
        410,
    )


def session_lock_lost() -> Refused:
    return Refused(
        "com.microsoft:session-lock-lost",
        "The session lock has expired on the MessageSession. Accept a new MessageSession.",
        410,
    )


def session_taken(session_id: str) -> Refused:
    return Refused(
        "com.microsoft:session-cannot-be-locked",
        f"The requested session '{session_id}' cannot be accepted. It may be locked by another receiver.",
        410,
    )


def no_session_in_time() -> Refused:
    return Refused(
        "com.microsoft:timeout", "The operation did not complete within the allotted timeout: no session is free.", 408
    )


def message_not_found() -> Refused:
    return Refused("com.microsoft:message-not-found", "Failed to find one or more messages.", 404)


def entity_not_found(name: str) -> Refused:
    return Refused("amqp:not-found", f"The messaging entity '{name}' could not be found.", 404)


def entity_exists(name: str) -> Refused:
    return Refused(
        "com.microsoft:entity-already-exists",
        f"SubCode=40900. Conflict. The messaging entity '{name}' already exists.",
        409,
    )


def entity_disabled(name: str) -> Refused:
    return Refused("com.microsoft:entity-disabled", f"The messaging entity '{name}' is currently disabled.", 403)


def not_allowed(description: str) -> Refused:
    return Refused("amqp:not-allowed", description, 400)


def bad_argument(description: str) -> Refused:
    return Refused("com.microsoft:argument-error", description, 400)


def bad_request(description: str) -> Refused:
    return Refused("amqp:invalid-field", f"SubCode=40000. Bad Request. {description}", 400)


def not_implemented(what: str) -> Refused:
    return Refused("amqp:not-implemented", f"{what} is not implemented.", 501)


def too_large(size: int, limit: int) -> Refused:
    return Refused(
        "amqp:link:message-size-exceeded",
        f"The received message (size:{size} bytes) exceeds the limit ({limit} bytes) currently allowed on the link.",
        413,
    )


def queue_full(name: str) -> Refused:
    return Refused(
        "amqp:resource-limit-exceeded", f"The maximum entity size of '{name}' has been reached or exceeded.", 403
    )


def unauthorized(description: str) -> Refused:
    return Refused("amqp:unauthorized-access", description, 401)


def server_busy() -> Refused:
    return Refused(
        "com.microsoft:server-busy",
        "The request was terminated because the entity is being throttled. Error code: 50009. Please wait and try again.",
        503,
    )
