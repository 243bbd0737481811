"""The operator's commands about the whole house: `overview`, `credits`, `spending …`, `campaign …`; each takes --json."""
from datetime import timedelta
from typing import Any

import click

from petsong import database, spending, switch
from petsong.moments import MomentError
from petsong.overview import gather
from petsong.web.cli import Refused, command, user
from petsong.web.desk import answers
from petsong.web.desk.answers import CampaignState
from petsong.web.desk.campaign import by_clock, present_state, woken
from petsong.web.desk.credits import sheet
from petsong.web.desk.overview import as_json, problems
from petsong.web.desk.words import ago, amount, signed, span, stamp
from petsong.web.extension import parts

who_option = click.option("--who", default=lambda: user(), help="Your name, for the log; default: the system's.")


# ---- overview

@command("overview")
def overview() -> tuple[Any, str]:
    """How things stand: songs by stage, credits, breakers, processes, failures."""
    shared = parts()
    told = gather(shared.settings, shared.queues, shared.campaign)
    hour = told.periods[0]
    lines = [*(f"! {problem}" for problem in problems(told))]
    lines += [f"{state.stage:<12} {state.songs:>8}   median {span(state.median_seconds)}, 95 % {span(state.p95_seconds)}"
              for state in told.stages]
    lines += [
        f"last hour    {sum(hour.arrived)} came, {sum(hour.succeeded)} succeeded, {sum(hour.failed)} failed",
        f"slots        {told.slots_used} of {told.slots} in use",
        f"credits      {amount(told.balance.usable)}, read {ago(told.balance.read_at, told.taken_at)}; "
        f"{amount(told.pace.per_hour)} an hour, out {stamp(told.pace.runs_out_at)}",
        f"campaign     {told.campaign.words}",
        f"workers      {sum(sum(pool.queues.values()) for pool in told.pools if pool.alive)}; scheduler "
        f"{span(told.scheduler_seconds)} ago",
        "waiting      " + ", ".join(f"{queue} {amount(depth)}" for queue, depth in told.queue_depths.items()),
        *(f"failed       {group.songs} {group.reason}, last {group.session_id}" for group in told.failures),
    ]
    return as_json(told, 0.0, shared), "\n".join(lines)


# ---- credits

@command("credits")
@click.option("--page", type=click.IntRange(1, 1_000_000), default=1, help="1: the newest readings.")
def credits(page: int) -> tuple[Any, str]:
    """Readings of the balance, and what orders cost between them."""
    made = sheet(page, 50)
    lines = [f"{stamp(e.at)}  {amount(e.usable):>10}  {signed(e.change):>8}  {e.songs} songs, {e.others} others"
             + (f"  UNEXPLAINED {e.unexplained}" if e.unexplained else "") for e in made.readings]
    lines += [f"last {window.name}: {window.spent} credits" + (f" of {window.limit}" if window.limit else "")
              for window in made.spending.windows]
    if made.spending.lifted_until:
        lines.append(f"limits lifted until {stamp(made.spending.lifted_until)}")
    return answers.as_json(answers.CreditsAnswer, made), "\n".join(lines)


@click.group("spending")
def spending_group() -> None:
    """The spending limits; `credits` shows how much was spent."""


@command("lift")
@click.option("--minutes", type=click.FloatRange(0, 7 * 24 * 60, min_open=True), required=True, help="For how long.")
@who_option
def lift(minutes: float, who: str) -> tuple[Any, str]:
    """Let orders go out beyond the spending limits for a while."""
    until = (database.now() + timedelta(minutes=minutes)).replace(microsecond=0)
    try:
        changed = woken(parts(), spending.lift(until, who=who))
    except MomentError as error:
        raise Refused(str(error)) from error
    return _spending(changed), f"The spending limits are lifted until {stamp(until)}."


@command("restore")
@who_option
def restore(who: str) -> tuple[Any, str]:
    """Let the spending limits hold again."""
    return _spending(spending.restore(who=who)), "The spending limits hold."


def _spending(changed: bool) -> Any:
    state = answers.SpendingFigures.model_validate(spending.spending(parts().settings, database.now()))
    return answers.SpendingDone(changed=changed, spending=state).model_dump(mode="json")


# ---- campaign

@click.group("campaign")
def campaign_group() -> None:
    """The campaign's switch; forms follow within 10 seconds."""


@command("show")
def state() -> tuple[Any, str]:
    """Whether songs are sold, and why not."""
    now = present_state(parts())
    return now.model_dump(mode="json"), _in_words(now)


@command("open")
@who_option
def open_(who: str) -> tuple[Any, str]:
    """Open now, whatever the times are."""
    return _done(switch.open_now(parts().campaign, who=who))


@command("close")
@click.option("--message", default="", help="For visitors; default: the campaign's own.")
@who_option
def close(message: str, who: str) -> tuple[Any, str]:
    """Close now."""
    try:
        return _done(switch.close(parts().campaign, message, who=who))
    except switch.SwitchError as error:
        raise Refused(str(error)) from error


@command("schedule")
@click.option("--opens", "opens_at", default="", help="Such as 2027-02-01T09:00; without it, at once.")
@click.option("--closes", "closes_at", default="", help="Such as 2027-02-14T23:59; without it, never.")
@click.option("--zone", default="UTC", show_default=True, help="On whose clocks, such as Europe/Berlin.")
@click.option("--message", default="", help="For visitors while it is closed.")
@who_option
def schedule(opens_at: str, closes_at: str, zone: str, message: str, who: str) -> tuple[Any, str]:
    """Open and close by the clock."""
    try:
        return _done(by_clock(
            parts().campaign, who, opens_at=opens_at, closes_at=closes_at, zone=zone, message=message,
        ))
    except (switch.SwitchError, MomentError) as error:
        raise Refused(str(error)) from error


@command("cap")
@click.argument("songs")
@who_option
def cap(songs: str, who: str) -> tuple[Any, str]:
    """At most SONGS songs of this campaign in all, or "none"."""
    if songs != "none" and not songs.isdecimal():
        raise Refused(f"“{songs}” is neither a number of songs nor “none”.")
    try:
        return _done(switch.set_cap(parts().campaign, None if songs == "none" else int(songs), who=who))
    except switch.SwitchError as error:
        raise Refused(str(error)) from error


@command("file")
@who_option
def follow_file(who: str) -> tuple[Any, str]:
    """As campaign.toml says again."""
    return _done(switch.follow_file(parts().campaign, who=who))


def _done(changed: bool) -> tuple[Any, str]:
    shared = parts()
    woken(shared, changed)
    now = present_state(shared)
    return answers.CampaignDone(changed=changed, campaign=now).model_dump(mode="json"), _in_words(now)


def _in_words(now: CampaignState) -> str:
    lines = [f"{now.name}: {now.words}", "" if now.cap is None else f"cap: {now.songs} of {now.cap} songs",
             "visitors can order songs" if now.for_sale else f"visitors read: {now.message}"]
    return "\n".join(filter(None, lines))


for one in (lift, restore):
    spending_group.add_command(one)
for one in (state, open_, close, schedule, cap, follow_file):
    campaign_group.add_command(one)
COMMANDS = (overview, credits, spending_group, campaign_group)
