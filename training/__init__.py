"""How the embedded family was made: `python -m training NAME`. Nothing imports this."""
