"""What `dataset verify` says: findings of documented kinds, with a severity each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Severity = Literal["error", "warning", "info"]

REPORT_VERSION: Final = 1

CHECKS: Final[dict[str, tuple[Severity, str]]] = {
    "file_missing": ("error", "a file that belongs to the item is not there"),
    "file_broken": ("error", "a file cannot be read, or its rows are not what they should be"),
    "record_broken": ("error", "a row of the dataset contradicts itself"),
    "media_missing": ("error", "the song, video or another file that the item refers to is not there"),
    "media_changed": ("error", "that file is not the one the item was built from"),
    "pair_misaligned": ("error", "the soundtrack holds the song at another offset"),
    "pair_unconfirmed": ("warning", "the song is not heard in the soundtrack"),
    "pair_apart": ("error", "song and film have no time in common at this offset"),
    "beat_gap": ("error", "beats are missing: one is more than half a beat late, and the tempo goes on"),
    "beat_irregular": ("error", "beats that are too early, or that are unsteady throughout"),
    "beats_short": ("warning", "notes begin before the first beat or after the last"),
    "off_grid": ("error", "the notes do not fall on the beats' sixteenths or triplets"),
    "metre": ("error", "the notes are in three where the metre says two or four, or the reverse"),
    "bar_phase": ("error", "bars begin on another beat than the notes say"),
    "bar_length": ("warning", "bars of other lengths than the metre's"),
    "audio_tempo": (
        "warning",
        "the recording's beats run at a multiple of the tempo, or change between them",
    ),
    "audio_metre": ("warning", "the recording's beats are counted in another metre"),
    "audio_extent": ("warning", "the recording's beats end far from the notes"),
    "audio_off": ("warning", "the recording's beats do not lie on those of the notes"),
    "chords_off": ("warning", "the notes seldom belong to the chords given"),
    "key_off": ("warning", "the notes seldom belong to the keys given"),
    "transposed": (
        "error",
        "the recording, and with it its key and chords, is in another key than the notes",
    ),
    "track_empty": ("warning", "a track has hardly a note; an error if it is the melody"),
    "velocity_constant": ("warning", "all notes of a track are equally loud"),
    "notes_short": ("info", "notes shorter than 5 ms"),
    "feature_broken": ("error", "a curve or feature is not finite, or has another length than its grid"),
    "feature_empty": ("error", "a curve or feature has no row, or none but zeros"),
    "feature_constant": ("warning", "a curve or feature never changes"),
    "caption_outside": ("error", "a caption lies outside the film, or ends before it begins"),
    "caption_overlap": ("error", "two captions lie over each other"),
    "caption_off_shots": ("warning", "captions do not begin and end where shots do"),
    "caption_empty": ("error", "a caption without words"),
    "shots_broken": ("error", "shots overlap, leave gaps or do not cover the film"),
    "annotation_empty": ("warning", "no chord, key or phrase at all"),
    "duplicate_id": ("error", "two items have the same id"),
    "duplicate": ("warning", "two items of one split have nearly the same tune"),
    "leak": ("error", "items of different splits share a song, a video or nearly the same tune"),
}
"""Every kind of finding: its usual severity and what it means."""


@dataclass(frozen=True)
class Finding:
    """One fault. check: a name of `CHECKS`. item: the item's id; `A, B` where two are concerned, "" for all.

    figures: what was measured, for programs; the message says it for people.
    """

    check: str
    item: str
    message: str
    figures: dict[str, Any] = field(default_factory=dict)
    severity: Severity = "error"


def finding(
    check: str, item: str, message: str, *, severity: Severity | None = None, **figures: Any
) -> Finding:
    """A finding with the usual severity of its kind, unless another is given."""
    return Finding(check, item, message, figures, severity or CHECKS[check][0])


@dataclass(frozen=True)
class Report:
    """kind: `pop909` or `dataset`. findings: in order of the items, those about several items last."""

    folder: str
    kind: Literal["pop909", "dataset"]
    n_items: int
    media_checked: bool
    findings: tuple[Finding, ...]

    def of(self, severity: Severity) -> list[Finding]:
        return [each for each in self.findings if each.severity == severity]

    @property
    def items_with_errors(self) -> int:
        """Items named in an error; an error about a pair counts for both."""
        return len({name for each in self.of("error") for name in each.item.split(", ")})

    def to_json(self) -> dict[str, Any]:
        """The keys that docs/dataset-verify.md documents."""
        return {
            "report_version": REPORT_VERSION,
            "folder": self.folder,
            "kind": self.kind,
            "items": self.n_items,
            "items_with_errors": self.items_with_errors,
            "media_checked": self.media_checked,
            "errors": len(self.of("error")),
            "warnings": len(self.of("warning")),
            "infos": len(self.of("info")),
            "by_check": dict(sorted(Counter(each.check for each in self.findings).items())),
            "findings": [vars(each) for each in self.findings],
        }


def summary(report: Report, examples: int = 5) -> str:
    """A few lines for a terminal: kinds by severity, with their first items."""
    lines = [f"{report.folder}: {report.n_items} items, {report.items_with_errors} with errors"]
    for severity in ("error", "warning", "info"):
        for check, found in _grouped(report.of(severity)):
            items = [each.item for each in found if each.item]
            more = f" and {len(items) - examples} more" if len(items) > examples else ""
            lines.append(f"{severity:<8}{check:<18}{len(found):>5}  {', '.join(items[:examples])}{more}")
    return "\n".join(lines)


def _grouped(findings: Iterable[Finding]) -> list[tuple[str, list[Finding]]]:
    groups: dict[str, list[Finding]] = {}
    for each in findings:
        groups.setdefault(each.check, []).append(each)
    return sorted(groups.items(), key=lambda group: -len(group[1]))
