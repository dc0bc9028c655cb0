#!/bin/sh
# Set up the virtual environment: scripts/setup.sh REQUIREMENTS [--browser]. Safe to repeat.
set -eu
requirements=$1
venv=.venv

# The first interpreter that is really there and of a version we support (a pyenv shim may exist and not run).
if [ ! -x "$venv/bin/python" ]; then
    for candidate in ${PYTHON:-} python3.11 python3.12 python3 python; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null; then
            "$candidate" -m venv "$venv"
            break
        fi
    done
fi
[ -x "$venv/bin/python" ] || { echo "Python 3.11 or 3.12 is needed; set PYTHON=/path/to/it." >&2; exit 1; }

"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements"

if [ "${2:-}" = "--browser" ] && ! command -v chromium >/dev/null 2>&1 && ! command -v google-chrome >/dev/null 2>&1; then
    # The browser tests say loudly that they were skipped where neither way is allowed.
    if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
        { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y chromium; } >/dev/null 2>&1 || true
    fi
    if ! command -v chromium >/dev/null 2>&1; then
        timeout 300 "$venv/bin/python" -m playwright install chromium >/dev/null 2>&1 ||
            echo "No Chromium could be installed: the browser tests will be skipped." >&2
    fi
fi
