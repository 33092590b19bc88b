"""Every error this package raises on purpose. Each message says what, which one, and what to do."""


class SessionCleanupError(Exception):
    """The base of all deliberate errors."""


class ConfigurationError(SessionCleanupError):
    """A setting, a policy or an option was refused. Nothing was touched; exit status 2."""


class PolicyError(ConfigurationError):
    """A policy, or a part of one, that cannot be built."""


class RuleError(ConfigurationError):
    """A recurrence rule, a pattern or a time zone that was refused."""


class SeriesError(SessionCleanupError):
    """Some series could not be generated. Each has recorded why; the others are done."""


class DatabaseUnavailable(SessionCleanupError):
    """The database did not answer, or the connection broke. Nothing was lost; exit status 1."""


class LeaseBusy(SessionCleanupError):
    """Another process holds the lease of this job."""


class LeaseLost(SessionCleanupError):
    """Our lease ended, or another process took it over; the batch under way was rolled back."""


class UnreadableValues(SessionCleanupError):
    """Some values could be neither decoded nor checked. Their rows were left alone, the others done."""


class ArchiveError(SessionCleanupError):
    """A file of archived rows is not what was written. Its rows were not deleted."""


class PackingError(SessionCleanupError):
    """A packed document could not be read. It never says what is in it."""


class CorruptPacking(PackingError):
    """What is stored is not what was packed."""


class UnknownDictionary(PackingError):
    """A document was packed with a dictionary that the database does not have."""


class DictionaryInUse(PackingError):
    """A dictionary must stay: documents were packed with it."""


class CodecMissing(PackingError):
    """A document was packed with a codec that is not installed here."""
