"""Text and likelihoods from a live model: batched, greedy, cancellable, one forward pass a turn."""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import torch

from eval.batching import batches, log_probabilities, pad, sample
from eval.chat import Message
from eval.errors import Cancelled, EngineError
from eval.passes import Passes
from eval.types import DTYPES, Generation

Cancel = Callable[[], bool] | None
Progress = Callable[[int, int], None] | None

COMPACT_SHARE = 8
"""Finished rows leave the cache once they are an eighth of it: the copy is then cheaper than computing them."""
CHOICES_PER_BATCH = 24
BITS_TOKENS_PER_BATCH = 1024


def compute_dtype(device: str, dtype: str = "auto") -> str | Mapping[str, str] | None:
    """In which dtype a live model that is probed or asked holds its (already rounded) weights; None: the recipe's own.

    The weights are the merge's, rounded once to its dtype, either way; what differs is the arithmetic of a pass. A CPU
    with bf16 instructions runs a bf16 model three times faster in bf16 than in float32, one without ten times slower.
    float32 text hardly depends on the shape of the batch; bf16 text does, which is why a probe fixes its batches.

    Args:
        device: "cpu" or "cuda".
        dtype: "recipe" or "float32", whatever the device is; "auto" is what is fast on it.

    Raises:
        EngineError: `dtype` is none of these.
    """
    if dtype not in DTYPES:
        raise EngineError(f"Unknown dtype {dtype!r}. Known: {', '.join(DTYPES)}.")
    if dtype != "auto":
        return None if dtype == "recipe" else dtype
    if device != "cpu":
        return None
    return {"float16": "float32"} if has_bf16() else "float32"


def has_bf16() -> bool:
    """Whether this CPU multiplies bf16 matrices in hardware: AVX512_BF16 or AMX."""
    found = torch.cpu.get_capabilities()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))


def default_threads() -> int:
    """CPU threads that forward passes take unless they are told."""
    return torch.get_num_threads()


class Engine(Passes):
    """Answers prompts with a causal language model; one object serves one model and is not for two threads at once."""

    @property
    def has_template(self) -> bool:
        """Whether the tokenizer has a chat template; otherwise prompts are "User: ...", "Assistant:"."""
        return self.chat.has_template

    def decoding(self, *, max_new_tokens: int = 32, batch_size: int = 96) -> str:
        """The part of a measurement's identity that says how text is made; bf16 text depends on all of it."""
        return f"greedy-{max_new_tokens}/batch-{batch_size}/by-length/compact-{COMPACT_SHARE}/{self._form()}"

    def scoring(self, *, batch_size: int) -> str:
        """The part of a measurement's identity that says how likelihoods alone are taken."""
        return f"likelihood/batch-{batch_size}/by-length/{self._form()}"

    def _form(self) -> str:
        dtype = str(self.model.dtype).removeprefix("torch.")
        return f"{'template' if self.has_template else 'plain'}/{dtype}"

    def environment(self) -> Mapping[str, str]:
        """Device, threads and torch version: facts that may move a rounding, but name no other measurement."""
        where = str(self.model.device.type)
        chip = (
            torch.cuda.get_device_name(self.model.device)
            if where == "cuda"
            else torch.backends.cpu.get_cpu_capability()
        )
        return {"device": where, "chip": chip, "threads": str(torch.get_num_threads()), "torch": torch.__version__}

    def generate(
        self,
        prompts: Sequence[str | Sequence[Message]],
        *,
        max_new_tokens: int = 32,
        batch_size: int = 96,
        cancelled: Cancel = None,
        progress: Progress = None,
    ) -> list[Generation]:
        """Greedy answers to user messages or whole conversations, in the order of the prompts.

        Raises:
            Cancelled: `cancelled()` was true at a step.
            EngineError: The model gives NaN.
        """
        found: dict[int, Generation] = {}
        for batch in self.generate_batches(
            prompts, max_new_tokens=max_new_tokens, batch_size=batch_size, cancelled=cancelled
        ):
            found.update(batch)
            if progress:
                progress(len(found), len(prompts))
        return [found[i] for i in range(len(prompts))]

    def generate_batches(
        self,
        prompts: Sequence[str | Sequence[Message]],
        *,
        max_new_tokens: int = 32,
        batch_size: int = 96,
        cancelled: Cancel = None,
        done: Collection[int] = (),
    ) -> Iterator[dict[int, Generation]]:
        """The same, batch by batch as each is done: position of the prompt -> answer.

        Prompts are sorted by length, so the composition of each batch follows from the prompts alone. A batch whose
        positions are all in `done` is passed over; the others are what they would have been without it.
        """
        encoded = [self.chat.encode(prompt) for prompt in prompts]
        for rows in batches(encoded, batch_size):
            if set(rows) <= set(done):
                continue
            made = self._greedy([encoded[i] for i in rows], max_new_tokens, cancelled)
            yield {i: self._finish(ids, max_new_tokens) for i, ids in zip(rows, made, strict=True)}

    def score_options(
        self,
        prompts: Sequence[str],
        options: Sequence[Sequence[str]],
        *,
        batch_size: int = CHOICES_PER_BATCH,
        cancelled: Cancel = None,
        progress: Progress = None,
    ) -> list[tuple[float, ...]]:
        """Log-probability per UTF-8 byte of each option as the answer to its prompt (nats / byte).

        A prompt is read once, whatever the number of its options.

        Raises:
            Cancelled: `cancelled()` was true between batches.
            EngineError: The model gives NaN.
        """
        encoded = [self.chat.encode(prompt) for prompt in prompts]
        found: dict[int, tuple[float, ...]] = {}
        for rows in batches(encoded, batch_size):
            _check(cancelled)
            asked = [options[i] for i in rows]
            for i, texts, totals in zip(
                rows, asked, self._score([encoded[i] for i in rows], asked, cancelled), strict=True
            ):
                found[i] = tuple(total / len(text.encode()) for text, total in zip(texts, totals, strict=True))
            if progress:
                progress(len(found), len(prompts))
        return [found[i] for i in range(len(prompts))]

    def stream(
        self,
        conversation: str | Sequence[Message],
        *,
        max_new_tokens: int = 128,
        seed: int = 0,
        temperature: float = 0.0,
        cancelled: Cancel = None,
    ) -> Iterator[str]:
        """One answer as it grows; each text yielded holds all that came before.

        Args:
            conversation: A user's message, or messages with roles.
            max_new_tokens: Length limit.
            seed: Of the sampling; without effect at temperature 0.
            temperature: 0 is greedy.
            cancelled: Asked before every token; if true, the stream simply ends.
        """
        noise = torch.Generator().manual_seed(seed)
        cache, ids = self._cache(), self.chat.encode(conversation)
        feed, made, shown = torch.tensor([ids], device=self.model.device), [], ""
        for _ in range(max_new_tokens):
            if cancelled and cancelled():
                return
            logits = self._forward(feed, cache, torch.ones(1, len(ids) + len(made)))[:, -1]
            token = sample(logits, temperature, noise)
            if token in self.chat.end_ids:
                break
            made.append(token)
            feed = torch.tensor([[token]], device=self.model.device)
            text = self.chat.decode(made)
            if text != shown and not text.endswith("�"):  # half a character waits for its other bytes
                shown = text
                yield text

    def bits_per_byte(self, texts: Sequence[str], *, cancelled: Cancel = None) -> list[float]:
        """Bits the model needs per UTF-8 byte of each text; lower is better.

        The first token is predicted from the beginning-of-sequence token, or from the end token where there is none.

        Raises:
            Cancelled: `cancelled()` was true between batches.
            EngineError: The model gives NaN, or its tokenizer has neither token.
        """
        encoded = [self._from_start(text) for text in texts]
        longest = max((len(ids) for ids in encoded), default=1)
        found: dict[int, float] = {}
        for rows in batches(encoded, max(1, BITS_TOKENS_PER_BATCH // longest)):
            _check(cancelled)
            ids, mask = pad([encoded[i] for i in rows], self.chat.pad_id, left=False)
            logits = self._forward(ids.to(self.model.device), None, mask, keep=0)
            picked = log_probabilities(logits[:, :-1], ids[:, 1:])
            nats = -(picked * mask[:, 1:]).sum(dim=1)
            for i, total in zip(rows, nats.tolist(), strict=True):
                found[i] = total / math.log(2) / len(texts[i].encode())
        return [found[i] for i in range(len(texts))]

    def _from_start(self, text: str) -> list[int]:
        tokenizer = self.chat.tokenizer
        first = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
        if first is None:
            raise EngineError("The tokenizer has neither a beginning nor an end token to predict a first token from.")
        ids = tokenizer(text, add_special_tokens=False).input_ids
        return ids if ids[:1] == [first] else [first, *ids]

    def _greedy(self, encoded: Sequence[list[int]], max_new_tokens: int, cancelled: Cancel) -> list[list[int]]:
        """Token ids of each answer, end token excluded; finished rows leave the batch as it goes."""
        device = self.model.device
        made: list[list[int]] = [[] for _ in encoded]
        cache, feed, mask = self._begin(encoded, room=max_new_tokens)
        rows, running = list(range(len(encoded))), [True] * len(encoded)  # rows of the batch -> answers
        for _ in range(max_new_tokens):
            _check(cancelled)
            chosen = self._forward(feed, cache, mask)[:, -1].argmax(dim=-1)
            for at, token in enumerate(chosen.tolist()):
                running[at] = running[at] and token not in self.chat.end_ids
                if running[at]:
                    made[rows[at]].append(token)
            if not any(running):
                break
            mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
            feed = chosen[:, None]
            if (len(rows) - sum(running)) * COMPACT_SHARE >= len(rows):
                left = torch.tensor([at for at, going in enumerate(running) if going])
                cache.batch_select_indices(left.to(device))
                mask, feed = mask[left], feed[left.to(device)]
                rows, running = [rows[at] for at in left.tolist()], [True] * len(left)
        return made

    def _finish(self, ids: list[int], max_new_tokens: int) -> Generation:
        return Generation(self.chat.decode(ids), len(ids), truncated=len(ids) == max_new_tokens)

    def _score(
        self, encoded: Sequence[list[int]], options: Sequence[Sequence[str]], cancelled: Cancel
    ) -> list[list[float]]:
        """Summed log-probability of every option of every prompt in one batch."""
        device = self.model.device
        owner = torch.tensor([row for row, texts in enumerate(options) for _ in texts])
        tails = [self.chat.continuation(text) for texts in options for text in texts]
        cache, feed, mask = self._begin(encoded, room=max(map(len, tails)))
        first = self._forward(feed, cache, mask)[:, -1:]
        _check(cancelled)
        target, real = pad(tails, self.chat.pad_id, left=False)
        logits = first[owner.to(device)]
        total = log_probabilities(logits, target[:, :1])[:, 0] * real[:, 0]
        if target.shape[1] > 1:
            cache.batch_select_indices(owner.to(device))
            both = torch.cat([mask[owner], real[:, :-1]], dim=1)
            rest = self._forward(target[:, :-1].to(device), cache, both, keep=0)
            total = total + (log_probabilities(rest, target[:, 1:]) * real[:, 1:]).sum(dim=1)
        flat = iter(total.tolist())
        return [[next(flat) for _ in texts] for texts in options]


def _check(cancelled: Cancel) -> None:
    if cancelled and cancelled():
        raise Cancelled
