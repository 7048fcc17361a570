"""What is known of the channels of a tensor: which can only go together, and which are constant."""

from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


class Channels(NamedTuple):
    """The channels of a tensor, its last axis.

    groups: (channels,) numbers of the groups of channels that can only go together.
    constant: (channels,) the value of each channel that is the same for all inputs and at all
        positions; NaN for one that varies.
    bordered: zeros were padded around the constants.
    """

    groups: np.ndarray
    constant: np.ndarray
    bordered: bool = False

    def settled(self):
        """Return the same without a border: what has one varies, unless it is zero itself."""
        if not self.bordered:
            return self
        return Channels(self.groups, np.where(self.constant == 0, 0.0, np.nan))


class Groups:
    """Numbers of groups of channels, which join where channels meet or must stay."""

    def __init__(self):
        self.count, self._joined, self._kept = 0, [], []

    def fresh(self, channels):
        """Return channels that vary, each in a group of its own."""
        self.count += channels
        return Channels(np.arange(self.count - channels, self.count), np.full(channels, np.nan))

    def join(self, some, others):
        """Let groups, pairwise, go together or not at all."""
        self._joined.append(np.broadcast_arrays(some, others))

    def keep(self, groups, reason):
        """Let groups stay, and say why."""
        self._kept.append((np.asarray(groups), reason))

    def labels(self):
        """Return (number of joint groups, the joint group of each group)."""
        pairs = [np.ravel(part) for pair in self._joined for part in pair]
        some = np.concatenate([*pairs[::2], []]).astype(int)
        others = np.concatenate([*pairs[1::2], []]).astype(int)
        links = coo_array((np.ones(some.size, bool), (some, others)), (self.count, self.count))
        return connected_components(links, directed=False)

    def kept(self, labels):
        """Return {joint group that stays: why}, the first reason for each."""
        reasons = {}
        for groups, reason in self._kept:
            for label in np.unique(labels[groups]):
                reasons.setdefault(int(label), reason)
        return reasons
