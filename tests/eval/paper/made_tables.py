"""Tables of the paper's comparison, made up: every state a row can have, counted by the real metrics."""

from dataclasses import replace

from made import measurement, probe, refusing

from eval.metrics import compare
from eval.paper.schema import Claim, Figures, Gap, Payment, Row, Screening, Search, Table, Tables
from eval.types import MEASURES, Measurement
from merging import Recipe

LANGUAGES = "en hi fr es ar ru"
MADE = probe(harmful=20, lookalike=8, instruction=10, choice=10, languages=LANGUAGES)
MIXES = ("SFT/mix-0", "SFT/mix-15", "SFT/mix-100")


def model(digest: str, *, harm: int, weak: int, choices: int, reference: Measurement | None = None) -> Measurement:
    """Answers `harm` of 20 harmful clusters, `weak` of 10 instructions badly, and `choices` of 10 choices rightly."""
    labels = refusing(MADE, 20 - harm, languages=LANGUAGES)
    if "/" in digest:  # merges: what they refuse in English is one cluster less, so that English pays
        labels.pop(f"harmful-{max(19 - harm, 0):02}-en", None)
    number = {one.id: int(one.cluster.rsplit("-", 1)[1]) for one in MADE.items}
    texts = {i: "no idea at all" for i, n in number.items() if i.startswith("instruction") and n < weak}
    right = {i: n < choices for i, n in number.items()}
    return measurement(MADE, labels, texts=texts, right=right, digest=digest, reference=reference)


BASE = model("base", harm=19, weak=7, choices=5)
MEASURED = {
    "SFT/mix-0": model("general", harm=18, weak=3, choices=7, reference=BASE),
    "SFT/mix-15": model("mix", harm=14, weak=4, choices=7, reference=BASE),
    "SFT/mix-100": model("safety", harm=3, weak=6, choices=6, reference=BASE),
    "SFT/linear/w=0.50": model("a/linear", harm=11, weak=4, choices=7, reference=BASE),
    "SFT/slerp_gradient/t=0.50": model("a/gradient", harm=8, weak=3, choices=8, reference=BASE),
}
SETTINGS = {
    "SFT/linear/w=0.50": ("linear", "Linear, half and half", {"weight": 0.5}, Figures(-49.1, 76.0)),
    "SFT/slerp_gradient/t=0.50": ("slerp_gradient", "SLERP, classic gradient", {"t": "gradient"}, Figures(-58.2, 72.6)),
}


def row(name: str) -> Row:
    if name not in SETTINGS:
        models = {"SFT/mix-0": "zoo:general", "SFT/mix-15": "zoo:mix-15", "SFT/mix-100": "zoo:safety"}
        figures = {"SFT/mix-0": Figures(-41.4, 70.0), "SFT/mix-15": Figures(-56.6, 67.4)}
        recipe = Recipe.single(models[name]).to_yaml()
        share = name.rsplit("-", 1)[1]
        made = Row(name, "SFT", "mix", "mix", f"{share} % safety rows", recipe, "measured", {"share": int(share)})
        made = replace(made, paper=figures.get(name))
    else:
        method, label, settings, paper = SETTINGS[name]
        recipe = Recipe.build(
            "linear", models=["zoo:general", "zoo:safety"], per_model=[{"weight": 0.5}, {"weight": 0.5}]
        ).to_yaml()
        made = Row(name, "SFT", "objective_merge", method, label, recipe, "measured", settings, paper=paper)
        made = replace(made, screening=Screening(0.42, 0.31, 1), verdict=claim(name))
    one = MEASURED[name]
    gaps = {mix: {m: gap(name, mix, m) for m in MEASURES} for mix in MIXES if mix != name}
    return replace(made, key=one.key, measures=one.measures, differences=gaps)


def gap(name: str, mix: str, measure: str) -> Gap:
    def one(language: str | None):
        return compare(MEASURED[name], MEASURED[mix], measure, language, reference=BASE, probe=MADE)

    return Gap(one(None), {language: one(language) for language in LANGUAGES.split()})


def claim(name: str) -> Claim:
    gaps = {m: gap(name, "SFT/mix-15", m).overall for m in ("harm_vs_base", "win_rate")}
    return Claim(
        id=f"{name}: against the 15 % mix",
        paper="-49.1 % harm against the mix's -56.6 %, win-rate 76.0 % against 67.4 %.",
        says="cannot tell",
        words="Made up: harm -15.8 points [-25.0, -6.0] where the paper has +7.5.",
        why="Made up: a model of 138 M parameters and one seed.",
        rows=(name, "SFT/mix-15"),
        gaps=gaps,
    )


def unmeasured() -> list[Row]:
    linear = Recipe.build("linear", models=["zoo:a", "zoo:b"], per_model=[{"weight": 0.5}, {"weight": 0.5}]).to_yaml()
    return [
        Row(
            "SFT/slerp/t=0.50",
            "SFT",
            "objective_merge",
            "slerp",
            "SLERP, t = 0.5",
            linear,
            "identical",
            {"t": 0.5},
            identical_to="SFT/linear/w=0.50",
            note="0 of 236 tensors took the spherical branch.",
        ),
        Row(
            "SFT/ties/w=0.30 d=0.5",
            "SFT",
            "objective_merge",
            "ties",
            "TIES, weight 0.3, density 0.5",
            linear,
            "screened",
            {"weight": 0.3, "density": 0.5},
            screening=Screening(0.1, 0.2, 4),
        ),
        Row(
            "DPO/linear/w=0.50",
            "DPO",
            "objective_merge",
            "linear",
            "Linear, half and half",
            linear,
            "not measured",
            {"weight": 0.5},
            note="zoo:general-dpo is missing: make it with `python -m training general-dpo`.",
            paper=Figures(-48.6, 75.0),
        ),
    ]


def tables() -> Tables:
    base = Row(
        "base",
        "SFT",
        "base",
        "mix",
        "base",
        Recipe.single("zoo:base").to_yaml(),
        "measured",
        key=BASE.key,
        measures=BASE.measures,
    )
    rows = {one.id: one for one in [base, *map(row, MEASURED), *unmeasured()]}
    merges = [name for name, one in rows.items() if one.kind == "objective_merge"]
    best = "SFT/slerp_gradient/t=0.50"
    identity = BASE.identity
    return Tables(
        family="a made-up family",
        base="base",
        measured_as={
            "probe": "made",
            "probe_hash": identity.probe_hash,
            "tier": "full",
            "judge": "made/1",
            "decoding": "greedy",
        },
        languages=tuple(LANGUAGES.split()),
        rows=rows,
        tables=(
            Table(
                "a",
                "Merging against mixing",
                "Does a merge beat the mix?",
                (*MIXES, *merges),
                "SFT/mix-15",
                "Best of each.",
            ),
            Table("c", "Safety weight", "What does each step cost?", ("SFT/linear/w=0.50",), "SFT/mix-15"),
        ),
        claims=(
            claim(best),
            replace(claim(best), id="order", says="not measured", rows=("DPO/linear/w=0.50",), gaps={}),
        ),
        who_pays=tuple(
            Payment(
                best,
                "SFT/mix-15",
                code,
                *(gap(best, "SFT/mix-15", m).by_language[code] for m in ("harm", "general", "win_rate")),
                pays=code == "en",
            )
            for code in LANGUAGES.split()
        ),
        search=Search(
            "yes",
            "Made up: this merge is better than every mix on one axis.",
            best,
            {mix: {m: gap(best, mix, m).overall for m in ("harm", "general")} for mix in MIXES},
            2,
            corrected=True,
        ),
        limits=("Made up: no figure here was measured.",),
    )
