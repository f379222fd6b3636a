"""The command that says what is wrong with a bank: review."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from semsearch.cli import options, output
from semsearch.types import Device, RuntimeName

if TYPE_CHECKING:
    from semsearch.review import Finding, Review

_TITLES = {
    "contradiction": "one question, two answers",
    "duplicate": "one question twice",
    "misfiled": "phrasing of another question",
    "few_phrasings": "few phrasings",
}


@click.command()
@click.argument("index_dir", metavar="INDEX", type=options.INDEX)
@click.option(
    "--html", "html_file", metavar="FILE", type=options.FILE, help="Write all of it as a page."
)
@click.option(
    "--show", type=click.IntRange(min=0), default=50, show_default=True, help="Findings printed."
)
@click.option("--remarks", is_flag=True, help="Print what is only perhaps wrong, too.")
@options.seed_option
@click.option("--encoder", help="Encoder in place of the index's own; it must be the same.")
@options.runtime_options
@options.json_option
def review(
    index_dir: Path,
    html_file: Path | None,
    show: int,
    remarks: bool,
    seed: int,
    encoder: str | None,
    runtime: RuntimeName,
    device: Device,
    as_json: bool,
) -> None:
    """Say what is wrong with the bank of INDEX, the surest first.

    \b
    contradiction   one question, or one wording, with two answers that do not agree
    duplicate       one question, or one wording, twice
    misfiled        a phrasing that belongs to another standard question
    few_phrasings   a standard question with far fewer phrasings than the others; a remark

    What is more likely wrong than not is a fault. Exit code 1 when there is one, 0 when there is
    none. Nothing is changed. What a fault looks like is learnt from the bank itself.

    \b
    Examples:
      semsearch review index/faq
      semsearch review index/faq --html review.html
    """
    from semsearch import review as room
    from semsearch.index import Index

    with (
        Index.open(index_dir, encoder=encoder, runtime=runtime, device=device) as index,
        output.ProgressBar("comparing", "phrasings") as progress,
    ):
        found = room.review(index, seed=seed, progress=progress)
    if html_file is not None:
        from semsearch.files import atomic_write
        from semsearch.review.page import page

        with atomic_write(html_file) as file:
            file.write(page(found).encode("utf-8"))
    if as_json:
        output.echo_json(found.to_dict())
    else:
        _show(found, show, remarks)
    if html_file is not None:
        click.echo(f"{html_file}: the review as a page", err=as_json)
    if found.faults:
        click.get_current_context().exit(1)


def _show(review: Review, show: int, remarks: bool) -> None:
    click.echo(
        f"{review.index}: {review.questions} standard questions, {review.phrasings} phrasings: "
        f"{_count(len(review.faults), 'fault')}, {_count(len(review.remarks), 'remark')}"
    )
    for note in review.notes:
        click.echo(click.style("note: ", fg="yellow") + note, err=True)
    findings: Sequence[Finding] = review.findings if remarks else review.faults
    for finding in findings[:show]:
        click.echo()
        _show_finding(finding)
    left = len(findings) - show
    if left > 0:
        click.echo(f"\n… and {left} more: --show {len(findings)}, --html FILE or --json")
    if review.remarks and not remarks:
        click.echo(f"\n{_count(len(review.remarks), 'remark')} more with --remarks")


def _show_finding(finding: Finding) -> None:
    sure = "" if finding.sure is None else f"{finding.sure:.2f}  "
    title = _TITLES[finding.kind]
    click.echo(f"{sure}{click.style(title, fg='red' if finding.fault else 'yellow')}")
    if finding.phrasing is not None:
        click.echo(f"  phrasing  {click.style(finding.phrasing, bold=True)}")
    click.echo(f"  filed as  {finding.question}  ({finding.key})")
    if finding.other_key is not None:
        name = "other    " if finding.kind != "misfiled" else "nearer to"
        click.echo(f"  {name} {finding.other_question}  ({finding.other_key})")
    if finding.answers is not None and finding.kind == "contradiction":
        for name, answer in zip(("answer   ", "other    "), finding.answers, strict=True):
            click.echo(f"  {name} {' '.join(answer.split())}")
    click.secho(f"  {finding.evidence}", dim=True)
    click.echo(f"  → {finding.advice}")


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
