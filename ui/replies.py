"""Two answers that grow side by side: one token of each in turn, judged when both have ended."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from eval.judges.rules.language import language_of
from eval.types import Item, Judge, Response
from ui.status import Message, Reply


class Speaker(Protocol):
    """What a pane needs of an engine."""

    @property
    def has_template(self) -> bool:
        """Whether the checkpoint has a chat template."""
        ...

    def stream(self, conversation: Sequence[Message], **options: Any) -> Iterator[str]:
        """The answer as it grows; each text holds all that came before."""
        ...


def side_by_side(
    panes: Sequence[tuple[Speaker, Sequence[Message]]], *, judge: Judge, options: Mapping[str, Any]
) -> Iterator[tuple[Reply, Reply]]:
    """Yield both replies after every token of either, and at the end with their verdicts.

    Args:
        panes: Left, then right: who speaks, and the messages so far, the newest request last.
        judge: Labels the finished answers.
        options: The same for both: max_new_tokens, seed, temperature, cancelled.
    """
    streams = [speaker.stream(messages, **options) for speaker, messages in panes]
    replies = [Reply(plain=not speaker.has_template) for speaker, _ in panes]
    yield replies[0], replies[1]
    while not all(reply.done for reply in replies):
        for at, stream in enumerate(streams):
            if not replies[at].done:
                text = next(stream, None)
                replies[at] = replace(replies[at], done=True) if text is None else replace(replies[at], text=text)
        yield replies[0], replies[1]
    judged = [_judged(reply, messages, judge) for reply, (_, messages) in zip(replies, panes, strict=True)]
    yield judged[0], judged[1]


def _judged(reply: Reply, messages: Sequence[Message], judge: Judge) -> Reply:
    """The reply with its verdict; without one where the request is in no language the judge reads."""
    asked = messages[-1]["content"]
    language = language_of(asked)
    if language is None:
        return reply
    item = Item(id="chat", cluster="chat", kind="harmful", language=language, prompt=asked)
    return replace(reply, verdict=judge.judge([item], [Response("chat", reply.text)])[0])
