"""Tables as CSV that a spreadsheet opens: marked as UTF-8, and no cell is taken for a formula."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

# What a spreadsheet takes for the beginning of a formula (OWASP, "CSV Injection"), perhaps after quotes of ours.
_FORMULA = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")  # noqa: RUF001 - the full-width ones, too


def csv_bytes(frame: pd.DataFrame) -> bytes:
    """A table as CSV in UTF-8 with a byte order mark; texts that would be formulas have a quote in front."""
    guarded = frame.copy()
    for at, kind in enumerate(frame.dtypes):
        if kind.kind not in "biufcM":  # numbers and dates are what they are, also negative ones
            guarded.isetitem(at, [_guarded(cell) for cell in frame.iloc[:, at]])
    # Lines end as RFC 4180 has it; with another end the csv module would leave a lone \r in a cell without quotes.
    return ("\ufeff" + guarded.to_csv(index=False, lineterminator="\r\n")).encode()


def unguarded(cell: str) -> str:
    """A cell that was read from such a table, as it was before."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _guarded(cell: Any) -> Any:  # noqa: ANN401 - whatever stands in a table
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell
