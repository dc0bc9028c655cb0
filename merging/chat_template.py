"""The chat template of the merged model: the models' own, a well-known format, or Jinja. Needs no torch.

Jinja is only parsed here, never rendered: that is left to transformers, which does it in a sandbox.
"""

import json
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from merging.errors import CheckpointError, RecipeError, did_you_mean

if TYPE_CHECKING:
    from merging.checkpoint import Checkpoint

FILE = "chat_template.jinja"
_LONGEST = 64 * 1024  # characters
_ROLES = "{%- for message in messages -%}\n"
_END = "{%- endfor -%}\n"
# Written from the formats' public descriptions. Blanks and line breaks that belong to a format stand in strings.
BUILT_IN = {
    # Stanford Alpaca, https://github.com/tatsu-lab/stanford_alpaca (the prompt without an input)
    "alpaca": (
        "{{- bos_token or '' -}}\n"
        "{%- if messages[0]['role'] != 'system' -%}\n"
        "{{- 'Below is an instruction that describes a task. "
        "Write a response that appropriately completes the request.\\n\\n' -}}\n"
        "{%- endif -%}\n"
        f"{_ROLES}"
        "{%- if message['role'] == 'system' -%}\n"
        "{{- message['content'] | trim + '\\n\\n' -}}\n"
        "{%- elif message['role'] == 'user' -%}\n"
        "{{- '### Instruction:\\n' + message['content'] | trim + '\\n\\n' -}}\n"
        "{%- else -%}\n"
        "{{- '### Response:\\n' + message['content'] | trim + (eos_token or '') + '\\n\\n' -}}\n"
        "{%- endif -%}\n"
        f"{_END}"
        "{%- if add_generation_prompt -%}{{- '### Response:\\n' -}}{%- endif -%}\n"
    ),
    # ChatML, https://github.com/openai/openai-python/blob/release-v0.28.0/chatml.md
    "chatml": (
        f"{_ROLES}"
        "{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' -}}\n"
        f"{_END}"
        "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}\n"
    ),
    # EXAONE 3, https://huggingface.co/LGAI-EXAONE/EXAONE-3.5-2.4B-Instruct: a user's turn ends in a line break only
    "exaone": (
        "{%- if messages[0]['role'] != 'system' -%}{{- '[|system|][|endofturn|]\\n' -}}{%- endif -%}\n"
        f"{_ROLES}"
        "{{- '[|' + message['role'] + '|]' + message['content'] -}}\n"
        "{{- '\\n' if message['role'] == 'user' else '[|endofturn|]\\n' -}}\n"
        f"{_END}"
        "{%- if add_generation_prompt -%}{{- '[|assistant|]' -}}{%- endif -%}\n"
    ),
    # Llama 3, https://www.llama.com/docs/model-cards-and-prompt-formats/meta-llama-3/
    "llama3": (
        "{{- bos_token or '<|begin_of_text|>' -}}\n"
        f"{_ROLES}"
        "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' -}}\n"
        "{{- message['content'] | trim + '<|eot_id|>' -}}\n"
        f"{_END}"
        "{%- if add_generation_prompt -%}"
        "{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}{%- endif -%}\n"
    ),
    # Mistral Instruct, https://docs.mistral.ai/guides/tokenization: the system's words open the first instruction
    "mistral": (
        "{{- bos_token or '<s>' -}}\n"
        "{%- set words = namespace(system='') -%}\n"
        f"{_ROLES}"
        "{%- if message['role'] == 'system' -%}\n"
        "{%- set words.system = message['content'] + '\\n\\n' -%}\n"
        "{%- elif message['role'] == 'user' -%}\n"
        "{{- '[INST] ' + words.system + message['content'] + ' [/INST]' -}}\n"
        "{%- set words.system = '' -%}\n"
        "{%- else -%}\n"
        "{{- ' ' + message['content'] | trim + (eos_token or '</s>') -}}\n"
        "{%- endif -%}\n"
        f"{_END}"
    ),
}

_MARKS = {
    "chatml": ("<|im_start|>", "<|im_end|>"),
    "exaone": ("[|system|]", "[|user|]", "[|assistant|]", "[|endofturn|]"),
    "llama3": ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
}


def check(given: str | None) -> None:
    """Refuse what is neither "auto" nor a built-in name nor Jinja that can be read.

    Raises:
        RecipeError: With the line of the fault inside the template.
    """
    if given is None or given == "auto" or given in BUILT_IN:
        return
    if "{{" not in given and "{%" not in given:
        known = ("auto", *sorted(BUILT_IN))
        raise RecipeError(
            f"chat_template is {given[:60]!r}, which is no Jinja template.{did_you_mean(given, known)} "
            f"Known names: {', '.join(known)}.",
            at="chat_template",
        )
    if len(given) > _LONGEST:
        raise RecipeError(
            f"chat_template has {len(given)} characters: at most {_LONGEST} are read.", at="chat_template"
        )
    from jinja2 import TemplateSyntaxError

    try:
        _parser().parse(given)
    except TemplateSyntaxError as error:
        raise RecipeError(
            f"chat_template is no Jinja that can be read, in its line {error.lineno}: {error.message}.",
            at="chat_template",
        ) from error
    except RecursionError as error:
        raise RecipeError("chat_template nests too deeply to be read.", at="chat_template") from error


def _parser() -> Any:
    """An environment that reads what transformers' own does; it is used to parse, never to render."""
    from jinja2 import nodes
    from jinja2.ext import Extension, loopcontrols
    from jinja2.parser import Parser
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """`{% generation %}`, with which templates mark what the assistant says."""

        tags: ClassVar = {"generation"}

        def parse(self, parser: Parser) -> Any:
            line = next(parser.stream).lineno
            return nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True)).set_lineno(line)

    return ImmutableSandboxedEnvironment(extensions=[Generation, loopcontrols])


def resolve(given: str | None, models: Sequence["Checkpoint"]) -> str | None:
    """The template that a recipe's `chat_template` asks for; None to leave the donor's tokenizer as it is.

    "auto" counts the templates of the models that have one; a tie goes to the one that is listed first.

    Raises:
        CheckpointError: A model's own template cannot be read.
    """
    if given != "auto":
        return BUILT_IN.get(given, given) if given else None
    found = [template for model in models if (template := own(model))]
    counted = Counter(found)  # keeps the order of the first time each is met, and max takes the first of equals
    return max(counted, key=counted.__getitem__) if counted else None


def own(checkpoint: "Checkpoint") -> str | None:
    """The chat template of a checkpoint's tokenizer (the one called "default" of several), None where it has none.

    Raises:
        CheckpointError: A file cannot be read.
    """
    files = checkpoint.tokenizer_files()
    try:
        if FILE in files:
            return files[FILE].read_text(encoding="utf-8") or None
        for name in ("chat_template.json", "tokenizer_config.json"):
            tree = json.loads(files[name].read_text(encoding="utf-8")) if name in files else {}
            found = tree.get("chat_template")
            if isinstance(found, list):
                found = next((one.get("template") for one in found if one.get("name") == "default"), None)
            if isinstance(found, str) and found:
                return found
    except (OSError, ValueError, AttributeError) as error:
        raise CheckpointError(f"The chat template of {checkpoint.name!r} cannot be read: copy it again.") from error
    return None


def warnings(given: str | None, known: Collection[str] | None) -> tuple[str, ...]:
    """What may surprise about a built-in format: marks of it that are not single tokens of the vocabulary.

    Args:
        given: The recipe's `chat_template`.
        known: The tokens of the merged vocabulary, None where they are not known.
    """
    lacking = [mark for mark in _MARKS.get(given or "", ()) if known is not None and mark not in known]
    if not lacking:
        return ()
    return (
        f"chat_template {given} writes {', '.join(lacking)}, which the vocabulary does not have as one token: "
        "a model that has it can lend it (tokenizer: tokens).",
    )


def write(folder: Path, template: str) -> None:
    """Put a template into a folder of tokenizer files, in place of what it has: one file, as transformers 5 does."""
    (folder / FILE).write_text(template, encoding="utf-8")
    (folder / "chat_template.json").unlink(missing_ok=True)
    config = folder / "tokenizer_config.json"
    if config.is_file():
        tree = json.loads(config.read_text(encoding="utf-8"))
        if tree.pop("chat_template", None) is not None:
            config.write_text(json.dumps(tree, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
