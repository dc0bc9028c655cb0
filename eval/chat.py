"""Chat turns as tokens: the model's own template where it has one, else a plain form that anyone can read."""

from collections.abc import Mapping, Sequence
from typing import Any

PLAIN_USER, PLAIN_MODEL = "User: ", "Assistant:"
Message = Mapping[str, Any]
"""{"role": "user" | "assistant", "content": text}; some templates take other roles, and content in parts."""


class ChatFormat:
    """Formats and encodes conversations for one tokenizer, and knows which tokens end an answer."""

    def __init__(self, tokenizer: Any, end_ids: Sequence[int] = ()) -> None:
        """Use the tokenizer's template if it has one.

        Args:
            tokenizer: A Hugging Face tokenizer.
            end_ids: Tokens that end an answer, beside the tokenizer's own end of sequence.
        """
        self.tokenizer = tokenizer
        self.has_template = bool(getattr(tokenizer, "chat_template", None))
        own = tokenizer.eos_token_id
        self.end_ids = frozenset([*end_ids, *([] if own is None else [own])])
        self.pad_id = next((i for i in (tokenizer.pad_token_id, own, *end_ids) if i is not None), 0)
        self._starts_with_bos = tokenizer.bos_token_id in tokenizer("a").input_ids[:1]

    def text(self, conversation: str | Sequence[Message]) -> str:
        """The conversation as the model reads it, up to where its answer begins; a bare text is one user's message."""
        messages = [{"role": "user", "content": conversation}] if isinstance(conversation, str) else list(conversation)
        if self.has_template:
            return str(self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False))
        lines = [_plain(message) for message in messages]
        return "\n".join([*lines, PLAIN_MODEL])

    def encode(self, conversation: str | Sequence[Message]) -> list[int]:
        """Token ids of `text`, with the beginning-of-sequence token exactly once if the tokenizer uses one."""
        return self.start(self.tokenizer(self.text(conversation), add_special_tokens=False).input_ids)

    def start(self, ids: list[int]) -> list[int]:
        """The ids with the beginning-of-sequence token in front, if the tokenizer uses one and it is not there."""
        bos = self.tokenizer.bos_token_id
        return [bos, *ids] if self._starts_with_bos and ids[:1] != [bos] else ids

    def continuation(self, text: str) -> list[int]:
        """Token ids of text that follows an encoded conversation."""
        return self.tokenizer(text if self.has_template else f" {text}", add_special_tokens=False).input_ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of an answer, without special tokens; in the plain form it ends where a next turn would begin."""
        text = self.tokenizer.decode(list(ids), skip_special_tokens=True)
        return (text if self.has_template else text.split(f"\n{PLAIN_USER.strip()}")[0]).strip()


def _plain(message: Message) -> str:
    return f"{PLAIN_USER if message['role'] == 'user' else PLAIN_MODEL + ' '}{message['content']}"
