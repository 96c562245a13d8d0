"""What a replica remembers of beginnings that requests share, within the same pool as everything else."""

from collections import OrderedDict


class PrefixCache:
    """Blocks by conversation; those nobody uses are given up, the longest unused first.

    A conversation may begin with what another one holds: then it holds only the blocks after that, and the other stays
    as long as it does.
    """

    def __init__(self) -> None:
        self._entries: dict[int, _Entry] = {}
        self._idle: OrderedDict[int, None] = OrderedDict()
        self.idle_blocks = 0  # that can be given up

    @property
    def n_blocks(self) -> int:
        """Blocks of all conversations, in use or not."""
        return sum(entry.n_blocks for entry in self._entries.values())

    def find(self, conversation: int) -> int:
        """Tokens that are there of a conversation."""
        entry = self._entries.get(conversation)
        return 0 if entry is None else entry.n_tokens

    def use(self, conversation: int) -> None:
        """A request builds on a conversation, and so on the one that it begins with: neither may be given up."""
        entry = self._entries[conversation]
        if entry.n_users == 0:
            self.idle_blocks -= entry.n_blocks
            del self._idle[conversation]
            if entry.parent is not None:
                self.use(entry.parent)
        entry.n_users += 1

    def release(self, conversation: int) -> None:
        """The request no longer builds on it."""
        entry = self._entries[conversation]
        entry.n_users -= 1
        if entry.n_users == 0:
            self.idle_blocks += entry.n_blocks
            self._idle[conversation] = None
            if entry.parent is not None:
                self.release(entry.parent)

    def put(
        self,
        conversation: int,
        n_tokens: int,
        n_blocks: int,
        *,
        at_most: int,
        parent: int | None = None,
        n_parent_blocks: int = 0,
    ) -> int:
        """Remembers more of a conversation; returns the blocks that the cache takes over for it, which may be none.

        `n_blocks` hold all its tokens, the first `n_parent_blocks` of them with the conversation `parent`.
        """
        entry = self._entries.get(conversation)
        if entry is None:
            entry = self._entries[conversation] = _Entry(parent, n_parent_blocks)
            self._idle[conversation] = None
            if parent is not None:
                self._entries[parent].n_children += 1
        elif n_tokens <= entry.n_tokens:
            return 0
        taken = min(at_most, max(0, n_blocks - entry.n_parent_blocks - entry.n_blocks))
        entry.n_tokens = n_tokens
        entry.n_blocks += taken
        if entry.n_users == 0:
            self.idle_blocks += taken
            self._idle.move_to_end(conversation)
        return taken

    def give_up(self, n_blocks: int) -> int:
        """Gives up at least so many idle blocks, whole conversations at a time; returns how many."""
        given = 0
        while given < n_blocks and self._idle:
            conversation, _ = self._idle.popitem(last=False)
            entry = self._entries[conversation]
            if entry.n_children:
                # Those that begin with it, all as idle as it is, go first.
                self._idle[conversation] = None
                continue
            del self._entries[conversation]
            given += entry.n_blocks
            self.idle_blocks -= entry.n_blocks
            if entry.parent is not None:
                self._entries[entry.parent].n_children -= 1
        return given


class _Entry:
    __slots__ = ("n_blocks", "n_children", "n_parent_blocks", "n_tokens", "n_users", "parent")

    def __init__(self, parent: int | None, n_parent_blocks: int) -> None:
        self.parent = parent
        self.n_parent_blocks = n_parent_blocks
        self.n_children = 0
        self.n_tokens = 0
        self.n_blocks = 0
        self.n_users = 0
