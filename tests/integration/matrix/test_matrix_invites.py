"""Whom Hearth follows into which rooms on a real homeserver, and when it leaves them."""

from collections.abc import Awaitable, Callable

from adapters.matrix.settings import MatrixSettings
from deploy.dev.homeserver import Person, SynapseServer
from tests.fakes.matrix_resident import MatrixInstance

Enter = Callable[..., Awaitable[Person]]
ANSWER = "The drive is there [1]."


def with_settings(resident: MatrixInstance, **settings: object) -> None:
    """Hearth with other settings, before it starts."""
    resident.settings = MatrixSettings.model_validate(settings)


async def membership(person: Person, resident: MatrixInstance, room: str, wanted: str) -> None:
    """Wait until Hearth is in a room, or out of it."""
    await person.until(lambda: person.members[room].get(resident.user_id) == wanted)


async def answered(person: Person, resident: MatrixInstance, room: str) -> None:
    """Ask and wait for the answer."""
    await person.say(room, "Where is the drive?", mentions=[resident.user_id])
    await person.shown(room, lambda shown: (shown.sender, shown.body) == (resident.user_id, ANSWER))


async def test_who_is_let_in_is_followed_and_others_are_declined(
    homeserver: SynapseServer, resident: MatrixInstance, enter: Enter
) -> None:
    with_settings(resident, users={"allow": ["@ana-*"]})
    await resident.start()
    ana, eve = await enter(homeserver, "ana"), await enter(homeserver, "eve")
    theirs, hers = await eve.direct(resident.user_id), await ana.create_room("kitchen", [resident.user_id])
    await membership(eve, resident, theirs, "leave")
    await membership(ana, resident, hers, "join")
    await answered(ana, resident, hers)
    notices = [shown.body for shown in ana.timeline.shown(hers, resident.user_id) if shown.kind == "m.notice"]
    assert len(notices) == 1
    assert not eve.timeline.shown(theirs, resident.user_id)


async def test_an_invitation_that_came_while_hearth_was_down_is_followed_and_what_was_asked_there_answered(
    homeserver: SynapseServer, resident: MatrixInstance, enter: Enter
) -> None:
    await resident.start()
    ana = await enter(homeserver, "ana")
    await resident.stop()
    room = await ana.create_room("kitchen", [resident.user_id])
    await ana.say(room, "Where is the drive?", mentions=[resident.user_id])
    await resident.start()
    await ana.shown(room, lambda shown: shown.body == ANSWER)


async def test_a_room_in_which_nobody_else_is_left_is_left(
    homeserver: SynapseServer, resident: MatrixInstance, enter: Enter
) -> None:
    await resident.start()
    ana, ben = await enter(homeserver, "ana"), await enter(homeserver, "ben")
    room = await ana.create_room("kitchen", [resident.user_id, ben.user_id])
    await membership(ana, resident, room, "join")
    await ben.join(room)
    await ana.leave(room)
    await answered(ben, resident, room)
    await ben.leave(room)
    joined = f"/v1/rooms/{room}/members"
    members = [resident.user_id]
    while members:
        members = (await homeserver.administer("GET", joined))["members"]


async def test_a_room_that_was_replaced_is_followed_also_where_only_the_old_one_is_let_in(
    homeserver: SynapseServer, resident: MatrixInstance, enter: Enter
) -> None:
    ana = await enter(homeserver, "ana")
    room = await ana.create_room("kitchen", [resident.user_id], preset="public_chat", room_version="10")
    with_settings(resident, rooms={"allow": [room]})
    await resident.start()
    await answered(ana, resident, room)
    new = await ana.upgrade(room)
    await membership(ana, resident, new, "join")
    await answered(ana, resident, new)
    assert not [shown for shown in ana.timeline.shown(new, resident.user_id) if shown.kind == "m.notice"]


async def test_into_a_closed_room_that_replaces_another_anybody_there_may_let_hearth(
    homeserver: SynapseServer, resident: MatrixInstance, enter: Enter
) -> None:
    ana = await enter(homeserver, "ana")
    room = await ana.create_room("kitchen", [resident.user_id])
    with_settings(resident, rooms={"allow": [room]})
    await resident.start()
    await answered(ana, resident, room)
    new = await ana.upgrade(room)
    await ana.invite(new, resident.user_id)
    await membership(ana, resident, new, "join")
    await answered(ana, resident, new)


async def test_a_public_room_of_two_is_no_private_chat(
    homeserver: SynapseServer, resident: MatrixInstance, enter: Enter
) -> None:
    (resident.folder / "documents" / "secret").mkdir(parents=True)
    (resident.folder / "documents" / "secret" / "drive.txt").write_text("The drive is on shelf Quince.")
    ana = await enter(homeserver, "ana")
    resident.core_settings = {"readers": [f"matrix:user:{ana.user_id}"], "when_nothing_found": "answer"}
    await resident.start()
    public = await ana.create_room("hall", [resident.user_id], preset="public_chat")
    private = await ana.direct(resident.user_id)
    for room in (public, private):
        await membership(ana, resident, room, "join")
    unasked = await ana.say(public, "Where is the drive?")
    await ana.say(public, "Hearth: where is the drive?")
    await ana.shown(public, lambda shown: shown.sender == resident.user_id and shown.kind == "m.text")
    await resident.core.inbox.wait_until_idle()
    assert not [prompt for prompt in resident.engine.prompts if "Quince" in str(prompt)]
    assert unasked not in str([shown.first for shown in ana.timeline.shown(public, resident.user_id)])
    await ana.say(private, "Where is the drive?")
    await ana.shown(private, lambda shown: "secret" in shown.body)
    assert [prompt for prompt in resident.engine.prompts if "Quince" in str(prompt)]


async def test_a_space_is_declined_with_the_reason(
    homeserver: SynapseServer, resident: MatrixInstance, enter: Enter
) -> None:
    await resident.start()
    ana = await enter(homeserver, "ana")
    space = await ana.create_room("home", [resident.user_id], creation_content={"type": "m.space"})
    await membership(ana, resident, space, "leave")
    events = ana.timeline.events(space, "m.room.member", resident.user_id)
    assert [event["content"].get("reason") for event in events] == ["it is a space, where nobody writes"]


async def test_in_a_muted_room_no_model_runs_and_the_question_is_answered_once_hearth_may_write(
    homeserver: SynapseServer, resident: MatrixInstance, enter: Enter
) -> None:
    await resident.start()
    ana, ben = await enter(homeserver, "ana"), await enter(homeserver, "ben")
    room, chat = await ana.create_room("kitchen", [resident.user_id, ben.user_id]), await ben.direct(resident.user_id)
    await ben.join(room)
    for person, place in ((ana, room), (ben, chat)):
        await membership(person, resident, place, "join")
        await person.shown(place, lambda shown: "!help" in shown.body)
    levels = await ana.state(room, "m.room.power_levels")
    await ana.set_state(
        room, "m.room.power_levels", levels | {"events_default": 50, "users": levels["users"] | {ben.user_id: 50}}
    )
    question = await ben.say(room, "Where is the drive?", mentions=[resident.user_id])
    await ben.shown(chat, lambda shown: "I may not write in kitchen" in shown.body)
    assert not resident.engine.prompts
    await ana.set_state(room, "m.room.power_levels", levels)
    await ben.shown(room, lambda shown: (shown.reply_to, shown.body) == (question, ANSWER))
