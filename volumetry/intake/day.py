"""Sort the files of a whole clinic day into visits, and take each visit in for itself.

Where the single door (`door.intake`) refuses an upload for one bad file, a day goes on: a file
that cannot be used is named with its sentence, and the visits of the others are kept apart.
Names and identifiers are looked at to sort, and given back to the caller for the technician's
eyes; nothing here stores them.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path, PurePosixPath

from volumetry.intake.archive import zip_unpack
from volumetry.intake.deidentify import subject_claims
from volumetry.intake.dicom import DamagedDicom, DicomFile, dicom_read
from volumetry.intake.door import intake
from volumetry.intake.kinds import FileKind, file_kind, foreign_sentence
from volumetry.intake.types import Intake, IntakeRefused, Limits

MASK = (
    "By its name this is a mask, not an image of the scanner. Give it on the page of its scan "
    "or of its review."
)
DAMAGED = "This DICOM file is damaged or cut off. Export the session again."
# Folders inside a visit, as exports and BIDS trees call them: they part series, not visits.
INNER_FOLDERS = re.compile(
    r"^(anat|func|fmap|dwi|mri|nii|nifti|dicom|images?|scans?|series.*|t1.*|t2.*|flair.*|s\d+"
    r"|\d{1,4})$"
)
SUBJECT = re.compile(r"(?:^|[_/])(sub-[a-z0-9]+)(?:[_/](ses-[a-z0-9]+))?", re.IGNORECASE)
MASK_WORDS = re.compile(
    r"[_-](?:gm|wm|cord|brain|lesions?)?(?:seg|dseg|mask|labels?|probseg)(?:[_.-]|$)", re.I
)
DAY = re.compile(
    r"(?<!\d)((?:19|20)\d\d)[-_.]?(0[1-9]|1[0-2])[-_.]?(0[1-9]|[12]\d|3[01])(?!\d)"
)


@dataclass(frozen=True, slots=True, repr=False)
class RefusedFile:
    """A file that was not taken: the sender's name of it, and why, in one sentence."""

    name: str
    sentence: str


@dataclass(frozen=True, slots=True, repr=False)
class VisitFiles:
    """The files that belong to one visit of one person, as far as they tell.

    Attributes
    ----------
    label : str
        What the sender called it: a folder, an archive, or the file.
    files : tuple of (str, Path)
        The sender's name of each file and where it lies; all DICOM or all NIfTI.
    codes : tuple of str
        Words that may be the clinic's pseudonym of the person: the patient number of the
        header and the names of the folders.
    day : date or None
        The day that the header, or else the name, gives.
    """

    label: str
    files: tuple[tuple[str, Path], ...]
    codes: tuple[str, ...]
    day: date | None
    is_dicom: bool


@dataclass(frozen=True, slots=True, repr=False)
class SortedDay:
    """All visits of a day, and the files that belong to none."""

    visits: tuple[VisitFiles, ...]
    refused: tuple[RefusedFile, ...]


@dataclass(slots=True)
class _Pile:
    """Files on their way into visits."""

    dicom: list[tuple[str, Path]] = field(default_factory=list)
    nifti: list[tuple[str, Path]] = field(default_factory=list)
    refused: list[RefusedFile] = field(default_factory=list)


def day_sort(files: Sequence[tuple[str, Path]], *, work: Path, limits: Limits) -> SortedDay:
    """Sort files into visits: DICOM by person and day, NIfTI by folder and subject.

    Parameters
    ----------
    files : sequence of (str, Path)
        The sender's name of each file, with its folders, and where it lies.
    work : Path
        Existing folder into which archives are unpacked; the visits point into it.
    limits : Limits
        What one archive may hold.
    """
    pile = _Pile()
    for number, (name, path) in enumerate(files):
        kind = file_kind(path)
        if kind is FileKind.ZIP:
            _unpacked(pile, name, path, folder=work / f"zip-{number}", limits=limits)
        else:
            _put(pile, name, path, kind)
    root = _root_of(name for name, _ in files)
    visits = [*_dicom_visits(pile, limits=limits), *_nifti_visits(pile.nifti, root=root)]
    ordered = sorted(visits, key=lambda visit: (visit.label, visit.day or date.min))
    return SortedDay(tuple(ordered), tuple(pile.refused))


def visit_take(
    visit: VisitFiles, *, scratch: Path, key: bytes, limits: Limits
) -> tuple[Intake, tuple[RefusedFile, ...]]:
    """Take one visit in; each NIfTI file stands for itself, a DICOM session is one thing.

    Raises
    ------
    IntakeRefused
        If nothing of it can be used; nothing is left in ``scratch`` then.
    """
    if visit.is_dicom:
        return intake(visit.files, scratch=scratch, key=key, limits=limits), ()
    taken: list[Intake] = []
    refused: list[RefusedFile] = []
    for name, path in visit.files:
        try:
            taken.append(intake([(name, path)], scratch=scratch, key=key, limits=limits))
        except IntakeRefused as refusal:
            refused.append(RefusedFile(name, str(refusal)))
    if not taken:
        raise IntakeRefused(refused[0].sentence)
    series = tuple(series for found in taken for series in found.series)
    skipped = tuple(sentence for found in taken for sentence in found.skipped)
    return replace(taken[0], series=series, skipped=skipped), tuple(refused)


def _put(pile: _Pile, name: str, path: Path, kind: FileKind) -> None:
    if kind is FileKind.DICOM:
        pile.dicom.append((name, path))
    elif kind is FileKind.NIFTI and MASK_WORDS.search(PurePosixPath(name).name):
        pile.refused.append(RefusedFile(name, MASK))
    elif kind is FileKind.NIFTI:
        pile.nifti.append((name, path))
    else:
        pile.refused.append(RefusedFile(name, foreign_sentence(path, subject="This file")))


def _unpacked(pile: _Pile, name: str, path: Path, *, folder: Path, limits: Limits) -> None:
    folder.mkdir()
    inner = _Pile()
    try:
        for inner_name, inner_path in zip_unpack(
            path, folder, limits=limits, max_bytes=limits.max_unpacked_bytes
        ):
            _put(inner, f"{name}/{inner_name}", inner_path, file_kind(inner_path))
    except IntakeRefused as refusal:
        pile.refused.append(RefusedFile(name, str(refusal)))
        return
    pile.dicom += inner.dicom
    pile.nifti += inner.nifti
    pile.refused += inner.refused


def _dicom_visits(pile: _Pile, *, limits: Limits) -> list[VisitFiles]:
    """Group DICOM files by person and day; a damaged one goes to the visit of its folder."""
    groups: defaultdict[tuple[str, str], list[tuple[str, DicomFile]]] = defaultdict(list)
    damaged: list[tuple[str, Path]] = []
    for name, path in pile.dicom:
        try:
            file = dicom_read(path, limits=limits)
        except DamagedDicom:
            damaged.append((name, path))
            continue
        if file.kind != "directory" or file.is_mr_image:
            groups[_person_and_day(name, file)].append((name, file))
    visits = [_dicom_visit(group) for group in groups.values()]
    for name, path in damaged:
        owners = [
            place
            for place, visit in enumerate(visits)
            if _folder(name) in {_folder(other) for other, _ in visit.files}
        ]
        if len(owners) == 1:
            owner = visits[owners[0]]
            visits[owners[0]] = replace(owner, files=(*owner.files, (name, path)))
        else:
            pile.refused.append(RefusedFile(name, DAMAGED))
    return visits


def _person_and_day(name: str, file: DicomFile) -> tuple[str, str]:
    """Return what tells visits apart; without a number or a name the folder does."""
    header = file.header
    person = header.get("PatientID") or header.get("PatientName")
    return (
        " ".join(person.lower().split("^")) if person else f"folder {_folder(name)}",
        header.get("StudyDate", ""),
    )


def _dicom_visit(group: Sequence[tuple[str, DicomFile]]) -> VisitFiles:
    header = group[0][1].header
    label = _common_folder(name for name, _ in group)
    number = header.get("PatientID", "")
    return VisitFiles(
        label=label,
        files=tuple((name, file.path) for name, file in group),
        codes=tuple(filter(None, (number, *_codes(label)))),
        day=subject_claims(header).study_date or _day_in(label),
        is_dicom=True,
    )


def _nifti_visits(files: Sequence[tuple[str, Path]], *, root: str) -> list[VisitFiles]:
    groups: defaultdict[str, list[tuple[str, Path]]] = defaultdict(list)
    for name, path in files:
        groups[_nifti_label(name, root=root)].append((name, path))
    return [
        VisitFiles(label, tuple(group), _codes(label), _day_in(label), is_dicom=False)
        for label, group in groups.items()
    ]


def _nifti_label(name: str, *, root: str) -> str:
    """Return what a NIfTI file's visit is called.

    A BIDS name says the subject and the session. Else it is the folder, without the folders
    that only part series. A file that lies loose in the folder of the day stands for itself:
    nothing says that it belongs to the person of its neighbour.
    """
    subject = SUBJECT.search(name)
    if subject:
        return name[: subject.end()].rstrip("/_")
    folder = list(PurePosixPath(name).parts[:-1])
    while folder and INNER_FOLDERS.match(folder[-1].lower()):
        folder.pop()
    label = "/".join(folder)
    return name if label in {"", root} else label


def _root_of(names: Iterable[str]) -> str:
    """Return the one folder that holds all files: the day itself, no visit."""
    tops = {PurePosixPath(name).parts[0] if "/" in name else "" for name in names}
    return tops.pop() if len(tops) == 1 else ""


def _folder(name: str) -> str:
    return str(PurePosixPath(name).parent)


def _common_folder(names: Iterable[str]) -> str:
    """Return the deepest folder (or archive) that holds all; a single file's own name."""
    listed = [PurePosixPath(name).parts for name in names]
    if len(listed) == 1:
        return "/".join(listed[0])
    shared: list[str] = []
    for parts in zip(*(parts[:-1] for parts in listed), strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return "/".join(shared) or "Loose files"


def _codes(label: str) -> tuple[str, ...]:
    """Return the words of a label that may be a pseudonym, the innermost first."""
    words: list[str] = []
    for part in reversed(PurePosixPath(label).parts):
        bare = re.sub(r"(\.nii)?(\.gz)?(\.zip)?$", "", part, flags=re.IGNORECASE)
        words += [bare, bare.removeprefix("sub-"), *re.split(r"[_ ]+", bare)]
    return tuple(dict.fromkeys(word for word in words if word))


def _day_in(label: str) -> date | None:
    found = DAY.search(label)
    if found is None:
        return None
    try:
        return date(*(int(part) for part in found.groups()))
    except ValueError:  # the 31st of a month that has none
        return None
