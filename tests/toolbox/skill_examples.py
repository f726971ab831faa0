"""Skills as people write them, one of them with a script; and how a test lays them out."""

from __future__ import annotations

from pathlib import Path

INVOICES = """\
---
name: invoice-totals
description: >
  Add up invoices. Use it when the user wants totals, sums or a list of invoices, bills or receipts in a folder.
license: MIT
compatibility: Needs Python 3.
metadata:
  author: bookkeeping
  version: "1.2"
allowed-tools: Bash(python3:*) Read
---

# Totals of invoices

1. Run `python3 {baseDir}/scripts/total.py *.txt` in the folder of the invoices: it prints one line for each and the sum.
2. Write what it printed, unchanged, to `totals.md`, below the heading `# Totals`.
3. Tell the user the sum. For what counts as an invoice see references/kinds.md.
"""
TOTAL = """\
import sys
from pathlib import Path

total = 0
for name in sys.argv[1:]:
    amount = next((line.split(":")[1] for line in Path(name).read_text().splitlines() if line.startswith("Amount:")), "0")
    print(f"{name}: {int(amount)}")
    total += int(amount)
print(f"Sum: {total}")
"""
MINUTES = """\
---
name: meeting-minutes
description: Turn rough notes of a meeting into minutes with decisions and tasks.
---
Write the minutes in three parts: **Present**, **Decisions**, **Tasks**. Each task has a person and a day; where the notes name none,
write `open`. You must not invent anything. Save them as minutes.md beside the notes.
"""
NAMING = """\
---
name: photo-names
description: "Rename photos by the day they were taken: 2024-05-17_001.jpg."
metadata: {owner: family}
---

## Naming

Photos are named by the day, then a number of three digits.
"""
_RULES = "".join(f"Rule {n}: write rule {n} so.\n" for n in range(1, 900))
LONG = f"---\nname: style-guide\ndescription: How our texts are written.\n---\n{_RULES}"


def lay(folder: Path, name: str, text: str, **files: str) -> Path:
    """A skill's folder; `files` are further ones, `__` in their names for `/`, programs where they end in py."""
    place = folder / name
    place.mkdir(parents=True)
    (place / "SKILL.md").write_text(text)
    for path, content in files.items():
        file = place / path.replace("__", "/").replace("_py", ".py").replace("_md", ".md")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        if file.suffix == ".py":
            file.chmod(0o755)
    return place


def invoices(folder: Path) -> Path:
    return lay(folder, "invoice-totals", INVOICES, scripts__total_py=TOTAL, references__kinds_md="# Kinds\n\nBills count too.\n")
