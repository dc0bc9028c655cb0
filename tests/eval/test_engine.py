"""The engine against transformers' own `generate` and full forward passes, on tiny random models."""

from contextlib import contextmanager
from itertools import pairwise

import pytest
import torch
from tiny import model, tokenizer

from eval.batching import batches, common_start
from eval.engine import Engine, compute_dtype
from eval.errors import Cancelled, EngineError

PROMPTS = [
    "Hi",
    "What is the capital of France?",
    "नमस्ते",
    "b" * 90,
    "مرحبا",
    "Hi",
    "why",
    "что это такое?",
    "x y z",
    "¿Qué?",
]
KINDS = ["llama", "gemma", "gpt2"]


@pytest.fixture(scope="module", params=KINDS)
def engine(request: pytest.FixtureRequest) -> Engine:
    return Engine(model(request.param), tokenizer())


def alone(engine: Engine, prompt: str, length: int) -> list[int]:
    """Tokens by transformers' generate, one prompt at a time, end token excluded."""
    ids = torch.tensor([engine.chat.encode(prompt)])
    ends = sorted(engine.chat.end_ids)
    out = engine.model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=length,
        do_sample=False,
        eos_token_id=ends,
        pad_token_id=0,
    )[0, ids.shape[1] :].tolist()
    return out[: next((i for i, token in enumerate(out) if token in ends), len(out))]


def test_batched_answers_are_those_given_one_at_a_time(engine: Engine) -> None:
    got = engine.generate(PROMPTS, max_new_tokens=40, batch_size=4)
    for prompt, one in zip(PROMPTS, got, strict=True):
        want = alone(engine, prompt, 40)
        assert (one.text, one.tokens, one.truncated) == (engine.chat.decode(want), len(want), len(want) == 40), prompt


def test_rows_really_finish_early_and_leave(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without this, the test above might never drop a row."""
    likely = engine.chat.end_ids | set(range(5, 60))  # a quarter of all tokens end a turn
    monkeypatch.setattr(engine.chat, "end_ids", frozenset(likely))
    widths = []
    forward = engine._forward
    monkeypatch.setattr(engine, "_forward", lambda ids, *a, **k: widths.append(len(ids)) or forward(ids, *a, **k))
    got = engine.generate(PROMPTS, max_new_tokens=40, batch_size=10)
    assert min(widths[widths.index(10) :]) < 10  # a pass before the first of ten reads what all prompts share
    for prompt, one in zip(PROMPTS, got, strict=True):
        assert one.tokens == len(alone(engine, prompt, 40))


def test_option_scores_are_those_of_full_forward_passes(engine: Engine) -> None:
    options = [["yes", "no", "perhaps so"], ["Париж", "x"], ["हाँ", "नहीं", "é"]]
    prompts = ["Is it?", "Столица Франции?" * 3, "?"]
    for prompt, texts, scores in zip(prompts, options, engine.score_options(prompts, options), strict=True):
        for text, score in zip(texts, scores, strict=True):
            head, tail = engine.chat.encode(prompt), engine.chat.continuation(text)
            with torch.no_grad():
                logits = engine.model(torch.tensor([head + tail])).logits[0].log_softmax(-1)
            total = sum(logits[len(head) - 1 + i, token].item() for i, token in enumerate(tail))
            assert score == pytest.approx(total / len(text.encode()), abs=1e-5)


def test_options_of_one_token_need_one_pass() -> None:
    engine = Engine(model(), tokenizer())
    assert len(engine.score_options(["?"], [["a", "b"]])[0]) == 2


def test_bits_per_byte_by_the_letter(engine: Engine) -> None:
    texts = ["Everyone has the right.", "Все люди", "a", "नमस्ते दुनिया"]
    for text, bits in zip(texts, engine.bits_per_byte(texts), strict=True):
        ids = torch.tensor([[1, *engine.chat.continuation(text)]])
        with torch.no_grad():
            loss = engine.model(ids, labels=ids).loss.item()  # mean nats a token, the first not counted
        assert bits == pytest.approx(loss * (ids.shape[1] - 1) / len(text.encode()) / 0.6931472, rel=1e-4)


def test_stream_grows_into_the_greedy_answer(engine: Engine) -> None:
    for prompt in PROMPTS[:5]:
        texts = list(engine.stream(prompt, max_new_tokens=30))
        whole = engine.generate([prompt], max_new_tokens=30)[0].text
        assert all(later.startswith(earlier) for earlier, later in pairwise(texts) if "�" not in later)
        if "�" not in whole:
            assert (texts or [""])[-1] == whole


def test_a_seed_repeats_a_sample_and_another_changes_it() -> None:
    engine = Engine(model(), tokenizer())
    one, again, other = (
        list(engine.stream("Hi", max_new_tokens=30, temperature=1.5, seed=seed))[-1:] for seed in (1, 1, 2)
    )
    assert one == again != other


class TestChatForm:
    def test_template_has_one_bos(self) -> None:
        ids = Engine(model(), tokenizer()).chat.encode("Hi")
        assert ids.count(1) == 1 and ids[0] == 1

    def test_plain_fallback_is_visible_and_has_one_bos(self) -> None:
        engine = Engine(model(), tokenizer(template=False))
        assert not engine.has_template
        assert engine.chat.text("Hi") == "User: Hi\nAssistant:"
        said = [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b"},
            {"role": "user", "content": "c"},
        ]
        assert engine.chat.text(said) == "User: a\nAssistant: b\nUser: c\nAssistant:"
        assert engine.chat.encode("Hi").count(1) == 1

    def test_plain_answers_end_where_the_next_turn_would_begin(self) -> None:
        chat = Engine(model(), tokenizer(template=False)).chat
        assert chat.decode(chat.continuation("Paris.\nUser: and then?")) == "Paris."

    def test_ends_come_from_generation_config_and_tokenizer(self) -> None:
        assert Engine(model(), tokenizer()).chat.end_ids == {2, 4}


def test_every_forward_pass_is_one_turn() -> None:
    inside, turns, passes = [], [], []

    @contextmanager
    def turn():
        assert not inside and not torch.is_inference_mode_enabled()
        inside.append(1)
        yield
        inside.clear()
        turns.append(1)

    tiny = model()
    tiny.register_forward_hook(lambda *_: passes.append(bool(inside)))
    engine = Engine(tiny, tokenizer(), turn=turn)
    engine.generate(PROMPTS, max_new_tokens=5, batch_size=4)
    engine.score_options(["?"], [["yes", "no"]])
    engine.bits_per_byte(["text"])
    list(engine.stream("Hi", max_new_tokens=3))
    assert passes and all(passes)
    assert len(turns) == len(passes)


def test_weights_may_change_in_place_between_turns() -> None:
    """What the page does: another recipe is applied, then this one again, between two steps of one answer."""
    first, second = model(seed=1), model(seed=2)
    engine = Engine(model(seed=1), tokenizer())

    @contextmanager
    def turn():
        for ours, wanted in zip(engine.model.parameters(), first.parameters(), strict=True):
            ours.data.copy_(wanted)
        yield
        for ours, wanted in zip(engine.model.parameters(), second.parameters(), strict=True):
            ours.data.copy_(wanted)

    want = engine.generate(PROMPTS, max_new_tokens=10)
    engine.turn = turn
    assert engine.generate(PROMPTS, max_new_tokens=10) == want


def test_stop_is_heard_and_progress_told() -> None:
    engine, asked = Engine(model(), tokenizer()), []
    with pytest.raises(Cancelled):
        engine.generate(PROMPTS, max_new_tokens=50, cancelled=lambda: asked.append(1) or len(asked) > 3)
    assert len(asked) == 4
    with pytest.raises(Cancelled):
        engine.score_options(["?"], [["a", "b"]], cancelled=lambda: True)
    told: list[tuple[int, int]] = []
    engine.generate(PROMPTS, max_new_tokens=2, batch_size=4, progress=lambda done, total: told.append((done, total)))
    assert told == [(4, 10), (8, 10), (10, 10)]


@pytest.mark.parametrize("call", ["generate", "score", "bits", "stream"])
def test_nan_weights_are_one_clear_error(call: str) -> None:
    broken = model()
    broken.model.layers[1].mlp.up_proj.weight.data[3, 3] = float("nan")
    engine = Engine(broken, tokenizer())
    with pytest.raises(EngineError, match="NaN"):
        {
            "generate": lambda: engine.generate(["Hi"]),
            "score": lambda: engine.score_options(["?"], [["a", "b"]]),
            "bits": lambda: engine.bits_per_byte(["text"]),
            "stream": lambda: list(engine.stream("Hi")),
        }[call]()


@pytest.mark.parametrize(
    ("rows", "want"),
    [
        pytest.param([[1, 2, 3], [1, 2, 4]], 2, id="two of three"),
        pytest.param([[1, 2], [1, 2, 3]], 1, id="each keeps one of its own"),
        pytest.param([[1], [1, 2]], 0, id="nothing to spare"),
        pytest.param([[5, 6], [6, 5]], 0, id="nothing in common"),
        pytest.param([[1, 2, 3]], 2, id="one row"),
    ],
)
def test_common_start(rows: list, want: int) -> None:
    assert common_start(rows) == want


def test_a_shared_start_is_read_once() -> None:
    tiny, widths = model(), []
    tiny.model.embed_tokens.register_forward_hook(lambda _m, _i, out: widths.append(tuple(out.shape[:2])))
    engine = Engine(tiny, tokenizer())
    engine.generate(["aaaa", "bbbb", "cccc"], max_new_tokens=1)
    prompts = [engine.chat.encode(text) for text in ("aaaa", "bbbb", "cccc")]
    start = common_start(prompts)
    assert start >= 2
    assert widths == [(1, start), (3, len(prompts[0]) - start)]


def test_batches_sort_by_length_and_keep_the_order_of_equals() -> None:
    assert list(batches([[1], [1, 2, 3], [1], [1, 2]], 3)) == [[0, 2, 3], [1]]


def test_nothing_asked_is_nothing_answered() -> None:
    engine = Engine(model(), tokenizer())
    assert engine.generate([]) == []
    assert engine.score_options([], []) == []
    assert engine.bits_per_byte([]) == []


def test_decoding_names_what_text_depends_on() -> None:
    engine = Engine(model(dtype=torch.bfloat16), tokenizer())
    names = {
        engine.decoding(),
        engine.decoding(batch_size=8),
        engine.decoding(max_new_tokens=8),
        Engine(model(), tokenizer()).decoding(),
        Engine(model(dtype=torch.bfloat16), tokenizer(template=False)).decoding(),
    }
    assert len(names) == 5
    assert engine.environment()["device"] == "cpu"


@pytest.mark.parametrize(
    ("device", "dtype", "found", "wanted"),
    [
        pytest.param("cpu", "auto", {"avx512_bf16": True}, {"float16": "float32"}, id="AVX-512 with bf16"),
        pytest.param("cpu", "auto", {"amx_bf16": True}, {"float16": "float32"}, id="AMX"),
        pytest.param("cpu", "auto", {"avx2": True, "avx512_bf16": False}, "float32", id="AVX2 only"),
        pytest.param("cpu", "auto", {"architecture": "aarch64", "bf16": True}, "float32", id="not measured there"),
        pytest.param("cpu", "recipe", {}, None, id="asked for"),
        pytest.param("cpu", "float32", {"amx_bf16": True}, "float32", id="asked against"),
        pytest.param("cuda", "auto", {}, None, id="GPU"),
        pytest.param("cuda", "float32", {}, "float32", id="GPU, asked for"),
    ],
)
def test_passes_run_in_what_the_device_is_fast_in(
    monkeypatch: pytest.MonkeyPatch, device: str, dtype: str, found: dict, wanted: object
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found)
    assert compute_dtype(device, dtype) == wanted


def test_an_unknown_dtype_is_refused() -> None:
    with pytest.raises(EngineError, match=r"Unknown dtype 'int8'\. Known: auto, recipe, float32"):
        compute_dtype("cpu", "int8")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_batch_that_was_begun_is_made_again_as_it_was(dtype: torch.dtype) -> None:
    """bf16 text depends on the shape of the batch, so what is resumed must have the same batches."""
    engine = Engine(model("gemma", dtype=dtype), tokenizer())
    whole = engine.generate(PROMPTS, max_new_tokens=20, batch_size=4)
    made = list(engine.generate_batches(PROMPTS, max_new_tokens=20, batch_size=4))
    first = set(made[0])
    some = first | {next(iter(made[1]))}  # the second batch is not whole
    rest = {
        i: one
        for batch in engine.generate_batches(PROMPTS, max_new_tokens=20, batch_size=4, done=some)
        for i, one in batch.items()
    }
    assert set(rest) == set(range(len(PROMPTS))) - first
    assert all(rest[i] == whole[i] for i in rest)
