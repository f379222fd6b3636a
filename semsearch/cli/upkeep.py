"""Commands that look after an index: info, verify, compact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from semsearch.cli import options, output
from semsearch.types import Device


@click.command()
@click.argument("index_dir", metavar="INDEX", type=options.INDEX)
@options.json_option
def info(index_dir: Path, as_json: bool) -> None:
    """Say what INDEX is and holds.

    \b
    Example:
      semsearch info index/faq
    """
    from semsearch.encoder.fingerprint import Fingerprint
    from semsearch.index import Index

    with Index.open(index_dir) as index:
        facts = index.info()
    if as_json:
        output.echo_json(facts)
        return
    facts["fingerprint"] = Fingerprint.from_dict(facts["fingerprint"]).digest
    facts["tuned"] = _proof(facts["tuned"])
    facts["lexical"] = _lexical(facts["lexical"])
    facts["improved"] = _improved(facts["improved"])
    facts["calibration"] = _calibration(facts["calibration"])
    width = max(map(len, facts))
    for name, value in facts.items():
        click.echo(f"{name:<{width}}  {value}")


def _proof(tuned: dict[str, Any] | None) -> str | None:
    """What a tuning measured, in one line."""
    if tuned is None:
        return None
    return (
        f"recall@{tuned['k']} {tuned['recall']:.4f} [{tuned['recall_low']:.4f}, "
        f"{tuned['recall_high']:.4f}] on {tuned['queries']:,} {tuned['source']}; p50 "
        f"{tuned['p50_ms']:.2f} ms, p99 {tuned['p99_ms']:.2f} ms, {tuned['bytes_per_vector']:,.0f} "
        f"bytes a vector, with {tuned['phrasings']:,} phrasings"
    )


def _lexical(facts: dict[str, Any] | None) -> str | None:
    """What words count, in one line."""
    if facts is None:
        return None
    from semsearch.calibration.mixing import Mixing

    return str(Mixing(**facts))


def _improved(facts: dict[str, Any] | None) -> str | None:
    """What an improvement was shown to be worth, in one line."""
    if facts is None:
        return None
    shown = ", ".join(
        f"{figure['measure']} of {figure['of']} {figure['before']:.4f} -> {figure['after']:.4f} "
        f"[{figure['low']:+.4f}, {figure['high']:+.4f}]"
        for figure in facts["figures"]
        if figure["measure"] != "mrr"
    )
    return f"{facts['made']}, {facts['mode']}, held out: {shown}"


def _calibration(facts: dict[str, Any] | None) -> str | None:
    """A calibration in one line."""
    if facts is None:
        return None
    if "problem" in facts:
        return str(facts["problem"])
    measured = facts["measured"]
    shown = ", ".join(
        f"{name} {measured[name]['value']:.3f}"
        for name in ("precision", "coverage", "refused")
        if measured[name]["value"] is not None
    )
    old = "; the bank has changed much since" if facts["old"] else ""
    return (
        f"{facts['made']} on {facts['source']}, {facts['point']}: answers from confidence "
        f"{facts['threshold']:.3f}, {shown}, calibration error "
        f"{measured['calibration_error']:.3f}{old}"
    )


@click.command()
@click.argument("index_dir", metavar="INDEX", type=options.INDEX)
@options.json_option
def verify(index_dir: Path, as_json: bool) -> None:
    """Check every row, checksum and vector of INDEX; exit code 1 if anything is wrong.

    \b
    Example:
      semsearch verify index/faq
    """
    from semsearch.index import Index

    with Index.open(index_dir) as index:
        report = index.verify()
    if as_json:
        output.echo_json(
            {
                "ok": report.ok,
                "questions": report.questions,
                "phrasings": report.phrasings,
                "problems": list(report.problems),
            }
        )
    else:
        for problem in report.problems:
            click.echo(problem)
        if report.ok:
            click.echo(
                f"{index_dir}: {report.questions} standard questions and {report.phrasings} "
                "phrasings are as they were written"
            )
    if not report.ok:
        click.get_current_context().exit(1)


@click.command()
@click.argument("index_dir", metavar="INDEX", type=options.INDEX)
@options.wait_option
@options.device_option("What makes a large snapshot.")
def compact(index_dir: Path, wait_seconds: float, device: Device) -> None:
    """Write a new snapshot of INDEX and free the space of removed rows.

    \b
    Example:
      semsearch compact index/faq
    """
    from semsearch.index import Index

    with Index.open(index_dir, device=device) as index:
        before = index.info()["size_bytes"]
        index.compact(wait_seconds=wait_seconds)
        after = index.info()["size_bytes"]
    click.echo(f"{index_dir}: {before / 2**20:.1f} MiB before, {after / 2**20:.1f} MiB now")
