"""What the desk's API says about the outbox."""
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from petsong.schemas import Moment

STATES = ("waiting", "delivered", "given_up", "no_address")


class OutboxQuery(BaseModel):
    state: Literal["", "waiting", "delivered", "given_up", "no_address"] = ""
    destination: Literal["", "alert", "event"] = ""
    page: int = Field(1, ge=1, le=100_000)
    page_size: int = Field(50, ge=1, le=200)


class MessageFigures(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str = Field(description="Its webhook-id, the same at every try.", examples=["msg_5a1c0ffee5a1c0ffee5a1c0f"])
    kind: str = Field(examples=["submission.succeeded"])
    destination: Literal["alert", "event"]
    state: Literal["waiting", "delivered", "given_up", "no_address"]
    created_at: Moment
    next_try_at: Moment | None
    tries: int
    last_answer: str = Field(examples=["HTTP 503"])


class OutboxPage(BaseModel):
    """What leaves us, newest first"""

    messages: list[MessageFigures]
    page: int
    page_size: int
    more: bool = Field(description="Whether there is a next page.")
    waiting: dict[str, int] = Field(description="Messages not delivered yet, by destination.", examples=[{"event": 2}])


class DeliveryFigures(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    at: Moment
    status: int | None = Field(description="HTTP; null where no answer came.", examples=[204])
    note: str = Field(examples=["no answer within 10 s"])
    ms: int | None = Field(description="null: not a try, but an operator's word.")


class MessageDetails(BaseModel):
    """One message, what is sent, and every try"""

    message: MessageFigures
    body: dict[str, Any]
    deliveries: list[DeliveryFigures]


class Redelivered(BaseModel):
    """It goes out again at once"""

    success: Literal[True] = True
    id: str
