"""What a replica remembers of beginnings that requests share, within the same pool as everything else."""

from collections import OrderedDict


class PrefixCache:
    """Blocks by conversation; those nobody uses are given up, the longest unused first."""

    def __init__(self) -> None:
        self._entries: OrderedDict[int, _Entry] = OrderedDict()
        self.idle_blocks = 0  # that can be given up

    def find(self, conversation: int) -> int:
        """Tokens that are there of a conversation."""
        entry = self._entries.get(conversation)
        return 0 if entry is None else entry.n_tokens

    def use(self, conversation: int) -> None:
        """A request builds on a conversation: it may not be given up until released."""
        entry = self._entries[conversation]
        if entry.n_users == 0:
            self.idle_blocks -= entry.n_blocks
        entry.n_users += 1
        self._entries.move_to_end(conversation)

    def release(self, conversation: int) -> None:
        """A request no longer builds on it."""
        entry = self._entries[conversation]
        entry.n_users -= 1
        if entry.n_users == 0:
            self.idle_blocks += entry.n_blocks

    def put(self, conversation: int, n_tokens: int, n_blocks: int) -> int:
        """Remembers more of a conversation; returns the blocks that the cache takes over for it, which may be none."""
        entry = self._entries.get(conversation)
        if entry is None:
            self._entries[conversation] = _Entry(n_tokens, n_blocks)
            self.idle_blocks += n_blocks
            return n_blocks
        self._entries.move_to_end(conversation)
        if n_tokens <= entry.n_tokens:
            return 0
        taken = max(0, n_blocks - entry.n_blocks)
        entry.n_tokens = n_tokens
        entry.n_blocks += taken
        if entry.n_users == 0:
            self.idle_blocks += taken
        return taken

    def give_up(self, n_blocks: int) -> int:
        """Gives up at least so many idle blocks, whole conversations at a time; returns how many."""
        given = 0
        for conversation in list(self._entries):
            if given >= n_blocks:
                break
            entry = self._entries[conversation]
            if entry.n_users == 0:
                given += entry.n_blocks
                del self._entries[conversation]
        self.idle_blocks -= given
        return given


class _Entry:
    __slots__ = ("n_blocks", "n_tokens", "n_users")

    def __init__(self, n_tokens: int, n_blocks: int) -> None:
        self.n_tokens = n_tokens
        self.n_blocks = n_blocks
        self.n_users = 0
