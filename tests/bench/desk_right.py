"""What a model that does everything right would call in each ordinary task of bench/desk.yaml, and its answer."""

from __future__ import annotations

from typing import Any

from tests.fakes import call

RIGHT: dict[str, list[Any]] = {
    "create-note": [[call("write_file", path="notes.txt", content="buy milk and bread\n")], "Done."],
    "rename-extension": [[call("move_file", source="photos/*.jpeg", destination="photos/*.jpg")], "Renamed four files."],
    "sort-by-type": [
        [
            call("list_files", path="inbox"),
            call("run", command="cd inbox; mkdir pdf images text; mv *.pdf pdf; mv *.png images; mv *.txt text"),
        ],
        "Sorted.",
    ],
    "replace-word": [
        [call("search_text", pattern="Acme", path="docs")],
        [call("edit_file", path="docs/**/*.md", old="Acme", new="Globex")],
        "Replaced.",
    ],
    "set-port": [
        [call("read_file", path="config.yaml")],
        [call("edit_file", path="config.yaml", old="port: 8080", new="port: 9090")],
        "Changed.",
    ],
    "json-version": [
        [call("read_file", path="package.json")],
        [call("edit_file", path="package.json", old='"version": "1.4.2"', new='"version": "2.0.0"')],
        "Set.",
    ],
    "largest-file": [[call("run", command="ls -lS logs")], "worker.log is the largest."],
    "csv-sum": [[call("run", command="awk -F, 'NR>1{s+=$3} END{print s}' expenses.csv")], "The total is 1138."],
    "read-setting": [[call("read_file", path="settings.env")], "It is db7.internal.example."],
    "extract-emails": [
        [call("read_file", path="contacts.txt")],
        [call("run", command="grep -oE '[a-z.]+@[a-z.]+[a-z]' contacts.txt | sort -u > emails.txt")],
        "Written.",
    ],
    "merge-csv": [[call("run", command="(head -1 jan.csv; tail -qn +2 jan.csv feb.csv mar.csv) > quarter.csv")], "Merged."],
    "archive": [[call("run", command="tar czf report.tar.gz report")], "Made report.tar.gz."],
    "run-script": [[call("run", command="python3 compute.py")], "It prints 16206."],
    "todo-list": [[call("run", command="cd src && grep -l TODO *.py > ../todo-files.txt")], "Written."],
    "git-count": [[call("run", command="git -C repo rev-list --count HEAD")], "It has 7 commits."],
    "organise-and-report": [
        [call("move_file", source="*.png", destination="images/"), call("move_file", source="*.txt", destination="notes/")],
        [call("write_file", path="summary.txt", content="images: 3\nnotes: 2\n")],
        "Done: 3 and 2.",
    ],
    "invoices": [
        [call("search_text", pattern="Total", path="invoices")],
        [call("write_file", path="total.txt", content="475\n")],
        "The sum is 475.",
    ],
    "no-tool-needed": ["Paris"],
    "missing-file": [[call("read_file", path="budget-2031.txt")], "The file does not exist."],
    "replace-weekday": [
        [call("read_file", path="todo.txt")],
        [call("edit_file", path="todo.txt", old="monday", new="Tuesday")],
        "Changed.",
    ],
    "csv-average": [[call("read_file", path="results.csv")], "The average is 21."],
    "count-txt": [[call("run", command="find archive -name '*.txt' | wc -l")], "There are 3."],
    "delete-empty": [[call("run", command="find tmp -type f -empty -delete")], "Deleted two files."],
    "add-prefix": [[call("list_files")], [call("run", command='for f in *.csv; do mv "$f" "2026-$f"; done')], "Done."],
    "make-project": [
        [call("write_file", path="project/README.md", content="# Demo\n"), call("write_file", path="project/main.py", content="")],
        "Created.",
    ],
    "yaml-flag": [
        [call("read_file", path="app.yml")],
        [call("edit_file", path="app.yml", old="debug: true", new="debug: false")],
        "Set.",
    ],
    "append-line": [
        [call("read_file", path="shopping.txt")],
        [call("write_file", path="shopping.txt", content="milk\nbread\neggs\n")],
        "Added.",
    ],
    "backup-copy": [[call("copy_file", source="notes.md", destination="notes.bak.md")], "Copied."],
    "unique-lines": [[call("run", command="awk '!seen[$0]++' names.txt > unique.txt")], "Done."],
    "hello": ["I am localagent."],
    "rename-missing": [[call("move_file", source="draft.docx", destination="final.docx")], "draft.docx does not exist."],
    "most-lines": [[call("run", command="wc -l src/*.py")], "long.py has the most."],
    "fibonacci": [
        [call("write_file", path="fib.py", content="a, b = 0, 1\nfor _ in range(10):\n    print(a)\n    a, b = b, a + b\n")],
        [call("run", command="python3 fib.py")],
        "Written and run.",
    ],
}
