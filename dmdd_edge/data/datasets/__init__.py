"""Data sets: the use of each folder and file of a data set.

=========  ==================  ============================================  ================================
layout     good images         test images                                   masks
=========  ==================  ============================================  ================================
mvtec      train/good          test/good, test/<defect>                      ground_truth/<defect>/<stem>_mask
mpdd       as mvtec; recognized by the category's name
btad       train/ok            test/ok, test/ko                              ground_truth/ko/<stem>
folder     the folder itself,  bad/ (ng, defect, anomaly, ...) beside it,    masks/<folder>/<stem>
           or its good/        or else every folder beside good/
=========  ==================  ============================================  ================================

The layout is detected. Names are compared without regard to case, and several words mean the same
(``roles``); folders may be deeper than shown. A file's name or mask may say more (``evidence``). Whatever
is not used is counted and named (`Category.table`, `Category.remarks`).
"""

from dmdd_edge.data.datasets.category import GOOD, Category, FolderUse, TestImage
from dmdd_edge.data.datasets.layouts import list_categories, load_category, require_category
from dmdd_edge.data.datasets.reading import read_images
from dmdd_edge.data.datasets.remarks import grouped, summarize

__all__ = [
    "GOOD",
    "Category",
    "FolderUse",
    "TestImage",
    "grouped",
    "list_categories",
    "load_category",
    "read_images",
    "require_category",
    "summarize",
]
