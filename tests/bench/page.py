"""Where a benchmark puts its figures: between two markers of a page."""

import sys


def put(page, text, name="figures"):
    """Replace what stands between `<!-- NAME: begin -->` and `<!-- NAME: end -->`."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, found_begin, rest = page.read_text().partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        sys.exit(f"{page}: no place for the figures ({begin} ... {end})")
    page.write_text(f"{before}{begin}\n\n{text.rstrip()}\n\n{end}{after}")
