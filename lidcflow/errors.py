"""Every error that lidcflow raises for wrong data; the tree decides what a flow does with it.

A flow sets a series aside on `SeriesRefused` and stops with one sentence on any other
`LidcflowError`. Wrong arguments raise the built-in types.
"""


class LidcflowError(Exception):
    """Base of all errors with a message for the user: what is wrong, the rule, the remedy."""


class ConfigError(LidcflowError):
    """The configuration is wrong: an unknown key, a value out of range, a file that is not TOML."""


class SourceError(LidcflowError):
    """The source holds nothing to work on, or is not there."""


class EmptySource(SourceError):
    """The source is there, but holds no DICOM image."""


class SeriesRefused(LidcflowError):
    """One series can't be used; it is listed with its reason and the others go on.

    Parameters
    ----------
    reason : str
        A value of `lidcflow.dicom.records.VerdictReason`, such as ``"missing-slices"``.
    sentence : str
        What must hold, what was found, what to do.
    """

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(reason, sentence)
        self.reason = reason
        self.sentence = sentence

    def __str__(self) -> str:
        return self.sentence


class StoreError(LidcflowError):
    """The Zarr store or the catalog can't be used as it is."""


class DatabaseUnavailable(StoreError):
    """The server of the catalog does not answer: it stops, starts, or can't be reached."""


class StoreMismatch(StoreError):
    """The store was written with another preprocessing configuration."""


class LabelError(LidcflowError):
    """Readings and images do not fit together, or there are no labels."""


class TrainingError(LidcflowError):
    """The training set can't be trained on: too few patients, a class absent, a patient on both sides."""


class WeightsError(LidcflowError):
    """A backbone's weight file is missing or is not the one that was asked for."""


class EngineError(LidcflowError):
    """The engine for features is not installed, or its features differ from those of Keras."""


class ErasureError(LidcflowError):
    """The subject of an erasure is named wrongly, or an erasure prevents another step."""


class ReleaseError(LidcflowError):
    """A release is missing, incomplete, or does not fit the volumes."""


class DocumentError(LidcflowError):
    """DICOM documents of one series can't be written: its source is gone, or its header lacks what they need."""


class ResourceError(LidcflowError):
    """The machine lacks something: disk space, a free port, a running server."""


class WorkspaceBusy(ResourceError):
    """Another process is at the same work, or an erasure is under way: run again after it."""


class PacsError(ResourceError):
    """A PACS does not answer, is too slow, answers errors or refuses access: it can be asked again."""


class PacsUnavailable(PacsError):
    """A PACS does not answer, or too slowly; every further request to it would fail now."""


class TrackingUnavailable(ResourceError):
    """The MLflow server does not answer; what was done is kept, and logged when it is back."""


class FeedbackRefused(LidcflowError):
    """A radiologist's mark does not fit the recommendation that it is about."""
