"""How many threads a lane's work is worth, and in how many processes they are."""

from dataclasses import dataclass, replace
from datetime import timedelta
from math import ceil

from app.domain.lanes import Lane

# What is asked for too much is kept for a while, since the next burst often follows soon.
LINGER = timedelta(seconds=30)
SHRINK_EVERY = timedelta(seconds=10)
# A message that has waited for this share of its time makes its lane grow, however few there are.
LATE = 1 / 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """What one machine sees of a lane: messages that wait though they are due, and its own threads.

    `oldest` is how long the first of those has waited, `busy` how many of the `running` threads work.
    `crowded` means that they want for CPU, and not for hands.
    """

    due: int
    oldest: timedelta
    busy: int
    running: int
    crowded: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """How many threads a lane shall have, and what has to be remembered to change that steadily.

    `needed` is what the load alone asks for, whatever the lane's bounds. Times are readings of one
    monotonic clock.
    """

    threads: int
    needed: int
    changed_at: timedelta
    calm_since: timedelta | None = None


def first_wish(lane: Lane, now: timedelta) -> Wish:
    """Begin with as few threads as the lane may have."""
    return Wish(threads=lane.min_threads, needed=0, changed_at=now - SHRINK_EVERY)


def wish(lane: Lane, load: Load, before: Wish, now: timedelta) -> Wish:
    """Follow the load by one step at most; the result is always within the lane's bounds.

    A lane grows by `grow_by` threads each `grow_every`, as far as what waits keeps more of them busy. It
    shrinks by one each SHRINK_EVERY, once less was needed for all of LINGER.
    """
    needed = needed_for(lane, load)
    seen = replace(before, threads=_bounded(lane, before.threads), needed=needed)
    if needed >= seen.threads:
        return _grown(lane, load, replace(seen, calm_since=None), now)
    if seen.calm_since is None:
        return replace(seen, calm_since=now)
    if now - seen.calm_since < LINGER or now - seen.changed_at < SHRINK_EVERY:
        return seen
    return replace(seen, threads=_bounded(lane, seen.threads - 1), changed_at=now)


def needed_for(lane: Lane, load: Load) -> int:
    """Say how many threads the load is worth: those at work, and one for each claim that waits."""
    waiting = ceil(load.due / lane.claim_size)
    if load.due and load.oldest > lane.max_age * LATE:
        waiting = max(waiting, lane.grow_by)
    return load.busy + waiting


def layout(threads: int, *, each: int, cores: int, most: int) -> tuple[int, ...]:
    """Spread threads over processes; with more threads, no process ever has fewer.

    A process takes `each`, until there are as many processes as cores; from there on all of them take
    more, up to `most`, beyond which there are more processes than cores after all.
    """
    each = min(each, most)
    within = min(threads, cores * most)
    sizes = [min(each, within - begun) for begun in range(0, within, each)][:cores]
    for number in range(within - sum(sizes)):
        sizes[number % len(sizes)] += 1
    sizes += [min(most, threads - begun) for begun in range(within, threads, most)]
    return tuple(sizes)


def _grown(lane: Lane, load: Load, seen: Wish, now: timedelta) -> Wish:
    # Threads that stand idle beside waiting work lack leave to do it, not hands: the lane is held back,
    # stopped, or limited.
    held = 2 * load.busy < load.running
    if held or load.crowded or now - seen.changed_at < lane.grow_every or seen.needed == seen.threads:
        return seen
    threads = _bounded(lane, min(seen.needed, seen.threads + lane.grow_by))
    return seen if threads == seen.threads else replace(seen, threads=threads, changed_at=now)


def _bounded(lane: Lane, threads: int) -> int:
    return max(lane.min_threads, min(threads, lane.max_threads))
