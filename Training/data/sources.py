"""A recipe's data source opened: its cases, unread."""

from pathlib import Path

from StrokeSegLib.errors import DataError
from Training.data import cpaisd, isles2018, nnunet, pairs, png_slices
from Training.data.case import Case
from Training.recipes.recipe import DataSettings


def open_source(data: DataSettings) -> list[Case]:
    """The cases of a data set on disk.

    Raises:
        DataError: the folder is missing, not of this layout, or holds no case.
    """
    folder = Path(data.path)
    if not folder.is_dir():
        raise DataError(f"The data set folder {folder} does not exist.")
    if data.source == "png-slices":
        cases = png_slices.cases(folder, data.pixel_mm)
    else:
        cases = {"cpaisd": cpaisd, "isles2018": isles2018, "nnunet": nnunet, "pairs": pairs}[data.source].cases(folder)
    if not cases:
        raise DataError(f"{folder} contains no cases in the {data.source} layout.")
    return cases
