"""One port for several users."""

from amaranth.hdl import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out


class Share(wiring.Component):
    """A port that belongs to one of several users at a time: to each for whole commands.

    ::

        loss --.                 granted.loss --.
        move --+-- multiplexer -----------------+--> port
        host --'                 granted.move --'
          ^------------- what the port answers

    Nothing is arbitrated. Whoever drives ``granted`` grants the port to one user at a time, from its first
    access up to the last answer that it waits for.

    Parameters
    ----------
    signature : what a user has of the port (seen from the user)
    users : their names, two or more; the last has the port while nobody else has

    Members
    -------
    port : ``signature`` (seen from here), to what is shared; shows what the user that has it drives
    granted : In(a bit for each user but the last), who has the port; of several the first has it
    NAME : ``signature`` (seen from the user), for each of ``users``; what it drives matters while it has the
        port, and what the port answers reaches all of them

    Latency: 0 cycles. Throughput: that of the port.
    Resources: a multiplexer of ``len(users)`` inputs for each bit that users drive; no register, no DSP, no
    block RAM. Source: own.
    Example: docs/examples.md#share
    """

    def __init__(self, signature, users):
        users = tuple(users)
        if len(users) < 2:
            raise ValueError(f"users must be at least two names, not {users!r}")
        for name in users:
            if not isinstance(name, str) or not name.isidentifier() or name in ("port", "granted"):
                raise ValueError(f"user must be a name other than port and granted, not {name!r}")
            if users.count(name) > 1:
                raise ValueError(f"users must have different names, not {name!r} twice")
        self.users = users
        self.access = signature
        super().__init__({
            "port": Out(signature),
            "granted": In(data.StructLayout(dict.fromkeys(users[:-1], 1))),
            **{name: In(signature) for name in users},
        })

    def elaborate(self, platform):
        m = Module()
        *others, last = self.users
        for name in self.users:
            self._answer(m, getattr(self, name))
        for name, condition in zip(others, [m.If, *[m.Elif] * (len(others) - 1)]):
            with condition(self.granted[name]):
                self._drive(m, getattr(self, name))
        with m.Else():
            self._drive(m, getattr(self, last))
        return m

    def _drive(self, m, user):
        """What the user drives, to the port."""
        for driven, value in self._pairs(self.port, user, Out):
            m.d.comb += driven.eq(value)

    def _answer(self, m, user):
        """What the port answers, to the user."""
        for driven, value in self._pairs(user, self.port, In):
            m.d.comb += driven.eq(value)

    def _pairs(self, one, other, flow):
        """Members of two interfaces, pair by pair, that have this direction, seen from a user."""
        both = zip(self.access.flatten(one), self.access.flatten(other))
        return [(value, equal) for (_, member, value), (_, _, equal) in both if member.flow == flow]
