"""Questions to an OpenAI-compatible endpoint, a JSON object back for each: retries are capped, tokens counted."""

import json
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

import yaml

from eval.errors import JudgeError
from eval.judges.card import FOLDER
from eval.judges.registry import Choice

T = TypeVar("T")
OPENAI = "https://api.openai.com/v1"
TRIES = 3
"""Of one request, where the endpoint is busy, broken or silent."""
FORMS = 2
"""Requests for an answer of the right form."""
SECONDS = 60.0
MOST_FAILED = 3
"""Questions that may stay without an answer before the endpoint is given up."""
MOST_TOKENS = 300


@dataclass(frozen=True)
class Answer(Generic[T]):
    """What came back: a value of the asked form, or why there is none."""

    value: T | None
    reason: str


@dataclass
class Usage:
    """Requests and tokens so far, and their cost where prices are known; may be counted from several threads."""

    prices: tuple[float, float] | None = None
    requests: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, tokens_in: int, tokens_out: int) -> None:
        """Count one answered request."""
        with self._lock:
            self.requests += 1
            self.tokens_in += tokens_in
            self.tokens_out += tokens_out

    @property
    def cost(self) -> float | None:
        """In the units of the prices, which are per million tokens; None without prices."""
        if self.prices is None:
            return None
        return (self.tokens_in * self.prices[0] + self.tokens_out * self.prices[1]) / 1e6

    def text(self) -> str:
        """One line for a terminal."""
        cost = "cost not known, give --prices IN OUT" if self.cost is None else f"cost {self.cost:.4f}"
        return f"{self.requests} requests, {self.tokens_in} tokens in, {self.tokens_out} out; {cost}"


@lru_cache(maxsize=1)
def prompts() -> dict[str, Any]:
    """The questions, and their version."""
    return yaml.safe_load((FOLDER / "endpoint.yaml").read_text(encoding="utf-8"))


class ChatApi:
    """One model behind one endpoint. Holds no key of its own: the client has it, and nothing here ever shows it."""

    def __init__(self, choice: Choice) -> None:
        """Connect; nothing is sent yet.

        The key is read from the environment. OPENAI_API_KEY is only ever sent to OpenAI: for another address the
        variable must be named, and without one no key is sent.

        Raises:
            JudgeError: The client is not installed, a key is missing, or the address is none.
        """
        self.model, base_url = choice.argument, choice.base_url or OPENAI
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise JudgeError("--base-url must be http(s)://HOST[:PORT]/PATH, without a key or a password in it.")
        self.host = parts.hostname + (f":{parts.port}" if parts.port else "")
        self._variable = choice.key_variable or (None if choice.base_url else "OPENAI_API_KEY")
        key = os.environ.get(self._variable, "") if self._variable else "none"
        if not key:
            raise JudgeError(f"{self._variable} is not set: the key of {self.host} is read from the environment only.")
        try:
            import openai
        except ImportError as error:
            raise JudgeError(
                "This judge needs the openai client: python -m pip install -r requirements-judges.txt"
            ) from error
        self._errors = openai
        self._client = openai.OpenAI(api_key=key, base_url=base_url, timeout=SECONDS, max_retries=TRIES - 1)
        self._key, self._progress, self._workers = key, choice.progress, choice.workers
        self.usage = Usage(choice.prices)

    def __repr__(self) -> str:
        return f"ChatApi({self.model!r}, {self.host!r})"

    def ask_all(self, system: str, questions: Sequence[Any], check: Callable[[Any], T]) -> list[Answer[T]]:
        """Ask every question, a few at a time; answers in order.

        Args:
            system: What is to be done.
            questions: JSON-able material, each sent as the user's message.
            check: Makes the value of a decoded answer, or raises ValueError.

        Raises:
            JudgeError: The endpoint refuses (key, model, request), or leaves more than a few questions unanswered.
        """
        failed: list[str] = []
        done = 0

        def one(question: Any) -> Answer[T]:
            nonlocal done
            if len(failed) > MOST_FAILED:
                return Answer(None, "not asked")
            found = self._ask(system, json.dumps(question, ensure_ascii=False), check)
            if found is None:
                failed.append("")
                found = Answer(None, f"{self.host} gave no answer in {TRIES} tries")
            done += 1
            if self._progress:
                self._progress(done, len(questions), f"judging by {self.model}")
            return found

        pool = ThreadPoolExecutor(self._workers)
        try:
            answers = list(pool.map(one, questions))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        if failed and (len(failed) > MOST_FAILED or len(failed) == len(questions)):
            raise JudgeError(
                f"{self.host} gave no answer to {len(failed)} of {len(questions)} questions in {TRIES} tries each "
                f"({self.usage.text()}): try again later."
            )
        return answers

    def _ask(self, system: str, question: str, check: Callable[[Any], T]) -> Answer[T] | None:
        """The answer to one question; None where the endpoint gave none."""
        reason = ""
        for _ in range(FORMS):
            text = self._send(system, question)
            if text is None:
                return None
            try:
                return Answer(check(_first_object(text)), "")
            except (ValueError, KeyError, TypeError):
                reason = f"{self.model} gave an answer of another form: {self._hide(text)[:80]!r}"
        return Answer(None, reason)

    def _send(self, system: str, question: str) -> str | None:
        messages = [{"role": "system", "content": system}, {"role": "user", "content": question}]
        errors = self._errors
        try:
            made: Any = self._client.chat.completions.create(
                model=self.model,
                messages=messages,  # type: ignore[arg-type]
                temperature=0,
                max_tokens=MOST_TOKENS,
            )
        except (errors.APITimeoutError, errors.APIConnectionError, errors.RateLimitError, errors.InternalServerError):
            return None
        except errors.APIStatusError as error:
            told = error.body.get("message") if isinstance(error.body, dict) else None
            # the chain of errors holds the headers, and with them the key
            raise JudgeError(self._refusal(error.status_code, str(told or error.message))) from None
        except errors.OpenAIError as error:
            raise JudgeError(
                f"{self.host} gave something that is no chat completion ({type(error).__name__})."
            ) from None
        usage = getattr(made, "usage", None)
        self.usage.add(getattr(usage, "prompt_tokens", 0) or 0, getattr(usage, "completion_tokens", 0) or 0)
        choices = getattr(made, "choices", None) or []
        return (choices[0].message.content or "") if choices else ""

    def _refusal(self, status: int, message: str) -> str:
        if status in (401, 403):
            whose = f"the key in {self._variable}" if self._variable else "a request without a key: name --key-variable"
            return f"{self.host} refuses {whose} (status {status})."
        if status == 404:
            return f"{self.host} has no model {self.model!r} at that address (status 404): check --base-url."
        return f"{self.host} refuses the request (status {status}): {' '.join(self._hide(message).split())[:200]}"

    def _hide(self, text: str) -> str:
        """The text without the key, whole or in part, should the endpoint repeat it."""
        hidden = text.replace(self._key, "[key]") if self._key != "none" else text
        pieces = {self._key[:8], self._key[-8:]} if len(self._key) >= 16 else set()
        for piece in pieces:
            hidden = hidden.replace(piece, "[key]")
        return hidden


def _first_object(text: str) -> Any:
    """The first JSON object of a text, in a code fence or not.

    Raises:
        ValueError: There is none.
    """
    start = text.find("{")
    if start < 0:
        raise ValueError("no object")
    return json.JSONDecoder().raw_decode(text[start:])[0]
