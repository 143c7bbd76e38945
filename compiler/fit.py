"""What does not fit: memories that are too small for a network, all of them in one message."""

from dataclasses import dataclass

from gradgate.arch.checks import ConfigError


@dataclass(frozen=True, kw_only=True)
class Shortage:
    """A memory that is too small. Sizes are in ``unit``."""

    memory: str  #: what it is called, after the pass that needs it, if one does
    field: str  #: of the configuration
    needs: int
    has: int
    unit: str = "words"
    reason: str = "the network needs"  #: what needs so much

    def __str__(self):
        return (f"{self.memory} ({self.field}) is {self.needs - self.has} {self.unit} short: {self.reason} {self.needs}, the configuration "
                f"has {self.has}")


class DoesNotFit(ConfigError):
    """Memories are too small. The message is a line for one, a table for several; :attr:`shortages` has the worst of each field."""

    def __init__(self, shortages):
        worst = {}
        for one in shortages:
            if one.field not in worst or one.needs > worst[one.field].needs:
                worst[one.field] = one
        self.shortages = list(worst.values())
        super().__init__(self.line() if len(worst) == 1 else self._table())

    def line(self) -> str:
        """All of it in one line."""
        return "; ".join(map(str, self.shortages))

    def _table(self):
        rows = [("memory", "needs", "has", "short", "")]
        rows += [(f"{one.memory} ({one.field})", one.needs, one.has, one.needs - one.has, one.unit) for one in self.shortages]
        first = max(len(row[0]) for row in rows)
        lines = [f"  {row[0]:{first}}{row[1]:>9}{row[2]:>9}{row[3]:>9} {row[4]}".rstrip() for row in rows]
        return "\n".join([f"{len(self.shortages)} memories are too small for the network:", *lines])


class Shortages(list):
    """Collects a :class:`Shortage` for all that does not fit.

    error : the first of any other kind that work raised
    failed : some work has not been done
    """

    error: ConfigError | None = None
    failed = False

    def require(self, needs: int, has: int, **what) -> None:
        """``what`` of a memory that ``needs`` more than it ``has`` is kept."""
        if needs > has:
            self.append(Shortage(needs=needs, has=has, **what))

    def attempt(self, work, *arguments) -> None:
        """Do ``work(*arguments)``; what it finds not to fit is kept."""
        try:
            work(*arguments)
        except DoesNotFit as error:
            self += error.shortages
            self.failed = True
        except ConfigError as error:
            self.error = self.error or error
            self.failed = True

    def check(self) -> None:
        """Raise what was kept: what is too large for a memory may be too large for a command's field, which says less."""
        if self:
            raise DoesNotFit(self)
        if self.error:
            raise self.error
