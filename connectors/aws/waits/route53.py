"""The wait for Route 53: a change known to all of its servers. Resolvers elsewhere may remember the old record as long as its TTL said."""

from connectors.aws.route53 import Change, ChangeId, get_change
from connectors.aws.waits._polling import Seen, Wait, polled
from dtf_runtime import OrchestrationContext, orchestration


class WaitForChange(Wait, frozen=True, kw_only=True, omit_defaults=True):
    change_id: str


@orchestration(name="aws.route53.wait_for_change")
async def wait_for_change(ctx: OrchestrationContext, wait: WaitForChange) -> Change:
    """Until it is INSYNC, a minute as a rule."""

    async def look(seen: Seen) -> Change | None:
        found = await get_change(ChangeId(change_id=wait.change_id, connection=wait.connection, region=wait.region))
        seen.last = found.status
        return found if found.status == "INSYNC" else None

    return await polled(ctx, wait, f"change {wait.change_id} in sync", look)
