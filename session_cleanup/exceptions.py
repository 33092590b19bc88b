"""Every error this package raises on purpose. Each message says what, which one, and what to do."""


class SessionCleanupError(Exception):
    """The base of all deliberate errors."""


class ConfigurationError(SessionCleanupError):
    """A setting, a policy or an option was refused. Nothing was touched; exit status 2."""


class PolicyError(ConfigurationError):
    """A policy, or a part of one, that cannot be built."""


class DatabaseUnavailable(SessionCleanupError):
    """The database did not answer, or the connection broke. Nothing was lost; exit status 1."""


class LeaseBusy(SessionCleanupError):
    """Another process holds the lease of this job."""


class LeaseLost(SessionCleanupError):
    """Our lease ended, or another process took it over; the batch under way was rolled back."""


class ArchiveError(SessionCleanupError):
    """A file of archived rows is not what was written. Its rows were not deleted."""
