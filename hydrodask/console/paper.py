"""A report as PDF: printed by a Chromium of this machine, if there is one."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from hydrodask.errors import UsageError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PRINT_S = 300.0


def browser() -> str:
    """Return the path of a browser that prints. Raises UsageError when there is none."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        raise UsageError(
            "--pdf needs a Chromium on the PATH, and there is none: install one (Debian: apt-get install chromium), "
            "or print the HTML file in a browser"
        )
    return found


def print_to(pdf: Path, html: Path) -> None:
    """Print an HTML file. Raises UsageError when the browser can't."""
    rights = ["--no-sandbox"] if os.geteuid() == 0 else []  # as root Chromium starts no other way; the file is ours
    with tempfile.TemporaryDirectory() as profile:
        options = ["--headless=new", "--no-pdf-header-footer", f"--user-data-dir={profile}", *rights]
        try:
            done = subprocess.run(  # noqa: S603 - a browser and two files of ours
                [browser(), *options, f"--print-to-pdf={pdf.resolve()}", html.resolve().as_uri()],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=PRINT_S,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise UsageError(f"the browser had not printed {html} within {PRINT_S:g} s") from error
    if done.returncode or not pdf.exists():
        raise UsageError(f"the browser has not printed {html}: {done.stderr.strip()[-500:]}")
