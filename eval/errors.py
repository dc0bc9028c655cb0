"""Errors of measuring that a person can mend, each one sentence saying what, where and what to do.

EvalError
├── ProbeError      a probe file that is missing or does not follow its schema
├── StoreError      a store or results file that cannot be read
├── JudgeError      rows handed to a judge that it cannot read
├── PaperError      the paper's plan, tables or kept measurements do not follow their schema
└── EngineError     a model that cannot be measured (NaN logits, no tokenizer)

`Cancelled` is no error: somebody pressed Stop.
"""

from merging.errors import Cancelled as Cancelled


class EvalError(Exception):
    """Something a person can mend; its text is one sentence fit for a terminal or a page."""


class ProbeError(EvalError):
    """A probe file is missing or does not follow its schema; the text names file and line."""


class StoreError(EvalError):
    """A store or results file cannot be read by this version."""


class JudgeError(EvalError):
    """Rows handed to a judge lack a field or name an unknown judge."""


class PaperError(EvalError):
    """The plan, the tables or the kept measurements of the paper's comparison do not follow their schema."""


class EngineError(EvalError):
    """A model gives nothing that can be measured."""
