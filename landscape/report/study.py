"""What a folder of `landscape prevalence` says of itself."""

import json
from pathlib import Path


def study_rows(folder: Path) -> list[tuple[str, str]]:
    """Returns the settings of the study as name and value; nothing if the folder is no study or its header is damaged."""
    try:
        header = json.loads((folder / "study.json").read_text())
        problem = ", ".join(f"{name} {value}" for name, value in header["problem"].items())
        versions = ", ".join(f"{name} {value}" for name, value in header["versions"].items())
        scales = f"W_l ~ N(0, {header['weight_scale']}² / d), H_1 ~ N(0, {header['feature_scale']}²)"
        return [("model", problem), ("starts", scales), ("method", str(header["method"])), ("versions", versions)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []
