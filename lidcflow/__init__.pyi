from lidcflow.api.phantoms import make_phantoms as make_phantoms
from lidcflow.api.result import SeriesResult as SeriesResult
from lidcflow.api.result import StudyResults as StudyResults
from lidcflow.api.source import index as index
from lidcflow.api.source import preprocess as preprocess
from lidcflow.api.store import Store as Store
from lidcflow.api.store import open_store as open_store
from lidcflow.api.study import read_study as read_study
from lidcflow.errors import LidcflowError as LidcflowError

__all__: list[str]
