"""Commands of the cloud as they arrive at an agent: put together, carried out once, answered.

The cloud sends a command, or the parts that are missing of it, until it is answered; so everything
may come twice, late or never. Parts are durable before they are answered, the answer says what is
still missing, and what was done is answered in the same words for ever. One command is carried out
at a time; one that is being carried out is not disturbed when the connection is lost.
"""

import asyncio
import logging
from contextlib import suppress
from functools import partial

import msgspec

from agent.core.errors import TransientError
from agent.ports.cloud import CommandDesk, Done
from sync import messages, parts
from sync.envelope import Refused
from sync.messages import Answer, Command, Id
from sync.parts import Piece

log = logging.getLogger(__name__)

INCOMPLETE = "incomplete"
LATER = "try_later"
INTERIM = frozenset({INCOMPLETE, LATER})
"""Reasons of answers that are not the last word: the command is to be sent on, or again."""
MOST_TEXT = 2_000


class _Named(msgspec.Struct):
    id: Id


_named = msgspec.json.Decoder(_Named).decode


class Inbox:
    """What `sync.uplink.Uplink` gives commands to. `close` it before the desk's store."""

    def __init__(self, desk: CommandDesk) -> None:
        self._desk = desk
        self._turn = asyncio.Lock()
        self._running: dict[str, asyncio.Task[Done]] = {}

    async def take(self, payload: bytes) -> bytes | None:
        """Take one message of the command topic; the answer to send, None if nobody asked."""
        command = messages.read(Command, payload)
        if isinstance(command, Refused):
            log.warning("A command is not one (%s): %s", command.reason, command.text)
            try:
                id_ = _named(payload).id
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return None
            text = command.text[:MOST_TEXT]
            return messages.write(Answer(id=id_, ok=False, reason=command.reason, text=text))
        try:
            answer = await self._take(command)
        except TransientError as error:
            answer = Answer(id=command.id, ok=False, reason=LATER, text=str(error)[:MOST_TEXT])
        return messages.write(answer)

    async def close(self) -> None:
        """Wait for what is being carried out; the store is closing, so that it cannot last."""
        running = list(self._running.values())
        if running:
            await asyncio.wait(running)

    async def _take(self, command: Command) -> Answer:
        id_ = command.id
        running = self._running.get(id_)
        if running is not None:
            return _answer(await asyncio.shield(running))
        piece = parts.piece(command)
        done = await asyncio.to_thread(self._desk.answer, id_)
        if done is not None:
            return _again(done, command, piece)
        if isinstance(piece, Refused):
            return await self._refuse(command, "", piece)
        here = await asyncio.to_thread(self._desk.gathered, id_)
        if here is not None and here.what != piece.what:
            return await self._refuse(command, piece.what.sum, _PARTS_DIFFER)
        content = piece.data
        if piece.what.parts > 1:
            if here is None or piece.n not in here.have:
                here = await asyncio.to_thread(
                    partial(self._desk.gather, id_, piece.what, piece.n, piece.data)
                )
                await asyncio.to_thread(self._desk.tidy)
            missing = parts.missing(piece.what.parts, here.have)
            if missing:
                return Answer(
                    id=id_,
                    ok=False,
                    reason=INCOMPLETE,
                    text=f"{len(here.have)} of {piece.what.parts} parts are here.",
                    body={"missing": missing},
                )
            content = await asyncio.to_thread(self._desk.content, id_)
        wrong = parts.wrong(piece.what, content)
        if wrong is not None:
            return await self._refuse(command, piece.what.sum, wrong)
        return _answer(await self._carry_out(command, piece.what.sum, content))

    async def _carry_out(self, command: Command, sum_: str, content: bytes) -> Done:
        """As a task of its own: it must not end half-way because a connection did."""
        running = self._running.get(command.id)
        if running is None:
            running = asyncio.create_task(self._apply(command, sum_, content), name="command")
            self._running[command.id] = running
            running.add_done_callback(partial(self._ended, command.id))
        return await asyncio.shield(running)

    async def _apply(self, command: Command, sum_: str, content: bytes) -> Done:
        async with self._turn:
            done = await self._desk.carry_out(command.id, command.kind, sum_, content)
        what = "done" if done.ok else f"refused ({done.reason}): {done.text}"
        log.info("Command %s, %s: %s", done.id, done.kind, what)
        await self._forget(command.id)
        return done

    def _ended(self, id_: str, task: asyncio.Task[Done]) -> None:
        self._running.pop(id_, None)
        if not task.cancelled() and isinstance(error := task.exception(), TransientError):
            log.warning("Command %s is not carried out yet: %s", id_, error)

    async def _refuse(self, command: Command, sum_: str, why: Refused) -> Answer:
        text = why.text[:MOST_TEXT]
        refused = Done(command.id, command.kind, False, why.reason, text, sum=sum_)
        log.warning("Command %s is refused (%s): %s", refused.id, refused.reason, refused.text)
        done = await asyncio.to_thread(self._desk.refuse, refused)
        await self._forget(command.id)
        return _answer(done)

    async def _forget(self, id_: str) -> None:
        with suppress(TransientError):  # else a later command tidies up
            await asyncio.to_thread(self._desk.tidy, id_)


_PARTS_DIFFER = Refused(
    "parts_differ",
    "This part says of the whole something else than the ones before it: two commands have one "
    "id, or a part was changed. Nothing was applied; send it again as a new command.",
)


def _answer(done: Done) -> Answer:
    body = msgspec.json.decode(done.body) if done.body else None
    return Answer(id=done.id, ok=done.ok, reason=done.reason, text=done.text, body=body)


def _again(done: Done, command: Command, piece: Piece | Refused) -> Answer:
    """The answer that was given before, unless another command has taken the id."""
    if isinstance(piece, Refused) or not done.sum:
        return _answer(done)
    if (done.kind, done.sum) == (command.kind, piece.what.sum):
        return _answer(done)
    return Answer(
        id=done.id,
        ok=False,
        reason="id_reused",
        text=f"Command {done.id} was another one ({done.kind}), and was answered: nothing was "
        "applied; send this one under an id of its own.",
    )
