"""Orchestrations that wait for people: an approval, somebody who must hear of it, a phone that is proved. Loads no SDK."""

from suborchestrations.people.approval import ANSWER, Answered, ApprovalOutcome, ApprovalSpec, human_approval
from suborchestrations.people.escalation import (
    ACKNOWLEDGE,
    Acknowledgement,
    Contact,
    EscalationOutcome,
    EscalationSpec,
    Told,
    notify_with_escalation,
)
from suborchestrations.people.requests import Answer, ApprovalLinks, ApprovalRequest, Approver, text_approval
from suborchestrations.people.verification import (
    CODE,
    RESEND,
    VerificationOutcome,
    VerificationSpec,
    phone_verification,
)

ORCHESTRATIONS = (human_approval, notify_with_escalation, phone_verification)
ACTIVITIES = (text_approval,)

__all__ = [
    "ACKNOWLEDGE",
    "ACTIVITIES",
    "ANSWER",
    "CODE",
    "ORCHESTRATIONS",
    "RESEND",
    "Acknowledgement",
    "Answer",
    "Answered",
    "ApprovalLinks",
    "ApprovalOutcome",
    "ApprovalRequest",
    "ApprovalSpec",
    "Approver",
    "Contact",
    "EscalationOutcome",
    "EscalationSpec",
    "Told",
    "VerificationOutcome",
    "VerificationSpec",
    "human_approval",
    "notify_with_escalation",
    "phone_verification",
    "text_approval",
]
