"""What is wrong with typed YAML: the sentence, the line it speaks of, and that line marked in the editor."""

from html import escape

from ui.components.loaded import trouble


def note(problem: str, text: str, line: int | None) -> str:
    """Markup below the editor; with a line, that line is quoted here and marked there.

    Args:
        problem: The sentence that says what is wrong.
        text: What was typed.
        line: 1-based line of the fault; None where it is about the whole.
    """
    lines = text.splitlines()
    if line is None or not 1 <= line <= len(lines):
        return trouble(problem)
    quoted = f'<p class="mf-line"><b>line {line}</b> <code>{escape(lines[line - 1].strip() or "(empty)")}</code></p>'
    # the editor draws a bar behind line --mf-line of its text
    mark = f"<style>#mf-yaml textarea {{ --mf-line: {line} !important; --mf-marked: 1 !important; }}</style>"
    return trouble(problem) + quoted + mark
