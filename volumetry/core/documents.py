"""The result of a measurement as the JSON document of docs/command-line.md."""

import json
import math
from pathlib import Path

from volumetry.core.types import Outcome, VolumetryResult


def result_document(result: VolumetryResult) -> dict[str, object]:
    """Turn a result into JSON values; numbers that are none become null."""
    document: dict[str, object] = {
        "status": str(result.outcome),
        "reason": result.reason,
        "measures": [
            {
                "structure": str(measure.structure),
                "quantity": str(measure.quantity),
                "value": measure.value,
                "unit": str(measure.unit),
                "standard_error": measure.standard_error,
            }
            for measure in result.measures
        ],
        "quality": [
            {
                "name": check.name,
                "value": check.value,
                "limit": check.limit,
                "verdict": str(check.verdict),
                "sentence": check.sentence,
            }
            for check in result.quality
        ],
        "provenance": {
            "method": result.provenance.method,
            "version": result.provenance.version,
            "parameters": result.provenance.parameters,
            "image_sha256": result.provenance.image_sha256,
            "other_sha256": result.provenance.other_sha256,
        },
        "seconds": round(result.seconds, 3),
    }
    cleaned = _without_nan(document)
    assert isinstance(cleaned, dict)
    return cleaned


def _without_nan(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def result_write(result: VolumetryResult, folder: Path) -> Path:
    """Write ``result.json``, first under another name, then renamed."""
    folder.mkdir(parents=True, exist_ok=True)
    scratch = folder / "_result.json"
    text = json.dumps(result_document(result), indent=2, allow_nan=False)
    scratch.write_text(text + "\n", encoding="utf-8")
    return scratch.rename(folder / "result.json")


def exit_status(outcome: Outcome) -> int:
    """Exit status of the command line: 0 measured, 3 refused or landmark needed."""
    return 0 if outcome is Outcome.OK else 3
