from lidcflow.errors import LidcflowError as LidcflowError
from tasks.api.phantoms import make_phantoms as make_phantoms
from tasks.api.result import SeriesResult as SeriesResult
from tasks.api.result import StudyResults as StudyResults
from tasks.api.source import index as index
from tasks.api.source import preprocess as preprocess
from tasks.api.store import Store as Store
from tasks.api.store import open_store as open_store
from tasks.api.study import read_study as read_study

__all__: list[str]
