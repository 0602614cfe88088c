"""By how much the samples of one text differ from what is predicted of them, once all are off alike.

    python experiments/accuracy/within.py

A campaign learns from its first results how far the literature is off for it; what is left is the spread that it has
to expect among its candidates. Read from predictions.csv (texts left out, `run.py`), of texts with at least three rows:
the median of what a row is off less what its text is off, as a standard deviation, beside the one that was predicted.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

NORMAL_MEDIAN = 0.6744897501960817
LEAST_ROWS = 3


def main() -> None:
    with Path(__file__).with_name("predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    print("quantity,n_rows,n_texts,within_texts,predicted,ratio")
    for quantity in dict.fromkeys(row["quantity"] for row in rows):
        by_text: dict[str, list[float]] = {}
        sds = []
        for row in rows:
            if row["quantity"] == quantity and (quantity.startswith("Ea") or 15 <= float(row["meas_temp_c"]) <= 35):
                by_text.setdefault(row["group_id"], []).append(float(row["reported"]) - float(row["predicted"]))
                sds.append(float(row["sd"]))
        texts = [np.array(each) for each in by_text.values() if len(each) >= LEAST_ROWS]
        # A mean of n rows holds a part of each of them.
        off = np.concatenate([(each - each.mean()) * np.sqrt(len(each) / (len(each) - 1)) for each in texts])
        within, said = float(np.median(np.abs(off))) / NORMAL_MEDIAN, float(np.median(sds))
        print(f"{quantity},{len(off)},{len(texts)},{within:.3f},{said:.3f},{within / said:.2f}")


if __name__ == "__main__":
    main()
