"""A review as one page that needs nothing else: no script, style or font from anywhere."""

from __future__ import annotations

from html import escape

from semsearch.review.findings import Finding, Review

_TITLES = {
    "contradiction": "One question, two answers",
    "duplicate": "One question twice",
    "misfiled": "Phrasing of another question",
    "few_phrasings": "Few phrasings",
}
_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #777; --fault: #c62828; --remark: #a66a00;
  --ground: #fff; --head: #f4f4f4; --text: #1b1b1b; }
@media (prefers-color-scheme: dark) { :root { --ground: #151515; --head: #222; --text: #e6e6e6;
  --soft: #a0a0a0; --fault: #ff8a80; --remark: #ffcc80; } }
body { margin: 2rem auto; max-width: 76rem; padding: 0 1rem; background: var(--ground);
  color: var(--text); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "PingFang SC",
  "Microsoft YaHei", "Noto Sans CJK SC", sans-serif; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .5rem .6rem;
  border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
th { position: sticky; top: 0; background: var(--head); }
th button { all: unset; cursor: pointer; font-weight: 600; }
th button:focus-visible { outline: 2px solid; }
th[aria-sort=ascending] button::after { content: " ▲"; }
th[aria-sort=descending] button::after { content: " ▼"; }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
.fault { color: var(--fault); font-weight: 600; } .remark { color: var(--remark); }
.key, .soft { color: var(--soft); font-size: .87em; }
.wording { font-weight: 600; } blockquote { margin: .3rem 0; padding-left: .6rem;
  border-left: 3px solid var(--line); white-space: pre-wrap; }
label { margin-right: 1rem; }
"""
_SCRIPT = """
const body = document.querySelector("tbody");
const value = (row, column) => row.cells[column].dataset.sort ?? row.cells[column].textContent;
document.querySelectorAll("th button").forEach((button, column) => {
  button.addEventListener("click", () => {
    const head = button.parentElement;
    const down = head.getAttribute("aria-sort") === "ascending";
    document.querySelectorAll("th").forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    [...body.rows]
      .sort((a, b) => (down ? -1 : 1) * value(a, column).localeCompare(
        value(b, column), undefined, {numeric: true}))
      .forEach(row => body.append(row));
  });
});
document.querySelectorAll("input").forEach(input => input.addEventListener("change", () => {
  for (const row of body.rows)
    row.hidden = !document.querySelector(`input[value="${row.dataset.kind}"]`).checked;
}));
"""


def page(review: Review) -> str:
    """The whole page, HTML."""
    kinds = dict.fromkeys(_kind(finding) for finding in review.findings)
    boxes = "".join(
        f'<label><input type="checkbox" checked value="{escape(kind)}"> {escape(kind)} '
        f"({sum(_kind(finding) == kind for finding in review.findings)})</label>"
        for kind in kinds
    )
    columns = ("Sure", "What", "Where", "Evidence", "What to do")
    head = "".join(f'<th scope="col"><button>{column}</button></th>' for column in columns)
    rows = "\n".join(map(_row, review.findings))
    notes = "".join(f"<p>{escape(note)}</p>" for note in review.notes)
    name = escape(review.index)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Review of {name}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>Review of {name}</h1>
<p>{review.questions:,} standard questions, {review.phrasings:,} phrasings:
<span class="fault">{len(review.faults):,} faults</span>,
<span class="remark">{len(review.remarks):,} remarks</span>.
A fault is more likely wrong than not.</p>
{notes}
<p>{boxes}</p>
<table>
<thead><tr>{head}</tr></thead>
<tbody>
{rows}
</tbody>
</table>
<script>{_SCRIPT}</script>
</body>
</html>
"""


def _kind(finding: Finding) -> str:
    if finding.kind == "few_phrasings":
        return _TITLES[finding.kind]
    return _TITLES[finding.kind] + ("" if finding.fault else ", perhaps")


def _row(finding: Finding) -> str:
    sure = "" if finding.sure is None else f"{finding.sure:.2f}"
    where = []
    if finding.phrasing is not None:
        where.append(f'<div class="wording" dir="auto">{escape(finding.phrasing)}</div>')
    where.append(_named("filed as", finding.question, finding.key))
    if finding.other_key is not None:
        label = "nearer to" if finding.kind == "misfiled" else "and"
        where.append(_named(label, finding.other_question or "", finding.other_key))
    evidence = escape(finding.evidence)
    if finding.answers is not None and finding.kind == "contradiction":
        evidence += "".join(
            f'<blockquote dir="auto">{escape(answer)}</blockquote>' for answer in finding.answers
        )
    kind = _kind(finding)
    return (
        f'<tr data-kind="{escape(kind)}"><td class="number" data-sort="{sure or 0}">{sure}</td>'
        f'<td class="{"fault" if finding.fault else "remark"}">{escape(kind)}</td>'
        f"<td>{''.join(where)}</td><td>{evidence}</td><td>{escape(finding.advice)}</td></tr>"
    )


def _named(label: str, question: str, key: str) -> str:
    return (
        f'<div><span class="soft">{label}</span> <span dir="auto">{escape(question)}</span> '
        f'<span class="key">{escape(key)}</span></div>'
    )
