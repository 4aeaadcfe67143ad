"""What a type checker must refuse of the kit. See refused.py."""

from connectors.core import Effect, Transient, client_of, declare, resolve
from connectors.core.webhooks import RaiseEvent, Webhook

from .connectors_kit import Buy, Client, ShopConnection, buy, make, to_event

buy(Buy("apple"))  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
buy("apple")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
resolve("shop")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
client_of(3, make)  # type: ignore[type-var, arg-type]  # pyright: ignore[reportArgumentType]
Transient()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Transient("x", retry_after="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
RaiseEvent("order-7", "paid")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Webhook(path="/shop", to_event=to_event)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
declare(Effect.READ)(make)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
ShopConnection(token="plain text")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
wrong: str = client_of(ShopConnection(), make)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
Client().buy(1, "key")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
