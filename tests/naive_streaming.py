"""Slow twin of a streaming pipeline: every word of every engine, cycle by cycle."""

from collections import deque
from itertools import product


class Source:
    """Images, one after another, a word a cycle."""

    def __init__(self, pixels, channels, lanes, images=1):
        self.left = images * pixels * (channels // lanes)
        self.lanes = lanes

    def step(self):
        if self.left:
            self.left -= 1
            return self.lanes
        return 0


class Engine:
    """A window generator and its matrix-vector unit, with queues that never fill.

    A word of the window is taken in the first row fold as soon as its channels have entered; the
    other row folds read it again. Each row fold ends in ``pe`` channels of the output.
    """

    def __init__(self, side, channels, kernel, stride, padding, rows, pe, simd, images=1):
        self.side, self.channels, self.kernel = side, channels, kernel
        self.stride, self.padding, self.rows, self.pe, self.simd = stride, padding, rows, pe, simd
        self.out_side = (side + 2 * padding - kernel) // stride + 1
        self.queue, self.entered, self.made = 0, 0, 0
        self.work = deque(self._windows(images))
        self.fold, self.word, self.window = 0, 0, None

    def _windows(self, images):
        """For each output the number of values that must have entered, word after word."""
        for image in range(images):
            for row, column in product(range(self.out_side), repeat=2):
                words = []
                for i in range(self.kernel):
                    for j in range(self.kernel):
                        y = row * self.stride - self.padding + i
                        x = column * self.stride - self.padding + j
                        inside = 0 <= y < self.side and 0 <= x < self.side
                        for channel in range(0, self.channels, self.simd):
                            pixel = ((image * self.side + y) * self.side + x) * self.channels
                            words.append(pixel + channel + self.simd if inside else 0)
                yield words

    def receive(self, values):
        self.queue += values

    def step(self):
        """One cycle; the channels that are made at its end."""
        made = self._compute()
        taken = min(self.simd, self.queue)  # a word enters the buffer
        if taken == self.simd:
            self.queue -= taken
            self.entered += taken
        return made

    def _compute(self):
        if self.window is None:
            if not self.work:
                return 0
            self.window, self.fold, self.word = self.work.popleft(), 0, 0
        if self.fold == 0 and self.window[self.word] > self.entered:
            return 0
        self.word += 1
        if self.word < len(self.window):
            return 0
        self.word, self.fold = 0, self.fold + 1
        if self.fold * self.pe == self.rows:
            self.window = None
        self.made += self.pe
        return self.pe

    @property
    def finished(self):
        return self.window is None and not self.work


def cycles_of_an_image(engines, source):
    """Cycles until the last engine has made its last channel."""
    cycle = 0
    while not engines[-1].finished:
        passed = source.step()
        for engine in engines:
            made = engine.step()
            engine.receive(passed)
            passed = made
        cycle += 1
    return cycle
