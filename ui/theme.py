"""The look of the page: one Gradio theme and one style sheet, light and dark as equals, system fonts only."""

from pathlib import Path

from gradio import themes

_HERE = Path(__file__).parent
STYLE_SHEETS = tuple(sorted((_HERE / "components").glob("*.css")))
# Before the first paint: follow the system's colour scheme unless the address says otherwise (Gradio does the same,
# later, which shows as a white flash).
HEAD = (
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    '<meta name="color-scheme" content="light dark">'
    '<meta name="description" content="Merge multilingual models by dragging a slider and see what safety costs.">'
)
_FONTS = [themes.Font(name) for name in ("ui-sans-serif", "system-ui", "Segoe UI", "Roboto", "sans-serif")]
_MONO = [themes.Font(name) for name in ("ui-monospace", "SFMono-Regular", "Menlo", "monospace")]


def theme() -> themes.Base:
    """The Gradio theme: slate with one indigo accent, 1 px borders, contrast of at least 4.5 to 1 in both modes."""
    base = themes.Base(
        primary_hue=themes.colors.indigo,
        neutral_hue=themes.colors.slate,
        radius_size=themes.sizes.radius_md,
        spacing_size=themes.sizes.spacing_sm,
        text_size=themes.sizes.text_md,
        font=_FONTS,
        font_mono=_MONO,
    )
    return base.set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="#0a0f1d",
        body_text_color="#0f172a",
        body_text_color_dark="#e8ecf4",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="#a3b0c4",
        background_fill_primary="white",
        background_fill_primary_dark="#111827",
        background_fill_secondary="*neutral_50",
        background_fill_secondary_dark="#0d1424",
        block_background_fill="white",
        block_background_fill_dark="#111827",
        block_border_width="0px",
        block_shadow="none",
        block_label_text_color="*neutral_700",
        block_label_text_color_dark="#b6c2d4",
        block_title_text_color="*neutral_700",
        block_title_text_color_dark="#b6c2d4",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="#a3b0c4",
        border_color_primary="#e2e8f0",
        border_color_primary_dark="#243047",
        border_color_accent="*primary_500",
        border_color_accent_dark="*primary_400",
        input_background_fill="white",
        input_background_fill_dark="#0d1424",
        input_border_color="#e2e8f0",
        input_border_color_dark="#2b3850",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="#8494ab",
        slider_color="*primary_600",
        slider_color_dark="*primary_400",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="#818cf8",
        button_primary_background_fill_hover_dark="#a5b4fc",
        button_primary_text_color="white",
        button_primary_text_color_dark="#0b1020",
        button_secondary_background_fill="white",
        button_secondary_background_fill_dark="#111827",
        button_secondary_background_fill_hover="*neutral_100",
        button_secondary_background_fill_hover_dark="#1c2639",
        button_secondary_border_color="#d5dde8",
        button_secondary_border_color_dark="#2f3d57",
        button_secondary_text_color="*neutral_700",
        button_secondary_text_color_dark="#cbd5e1",
        button_border_width="1px",
        link_text_color="*primary_700",
        link_text_color_dark="#a5b4fc",
    )


def css() -> str:
    """The style sheets of the page and of its components, joined in name order."""
    return "\n".join(path.read_text(encoding="utf-8") for path in STYLE_SHEETS)
