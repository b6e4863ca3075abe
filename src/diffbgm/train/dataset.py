"""A built dataset for one's own training in torch. `diffbgm train` needs none of this.

windows = Windows(Path("DIR"), "train", augmentation=Augmentation(drop_conditions=True))
loader = WindowLoader(Shuffled(windows, seed=0), batch=32, workers=2)
for batch in loader:
    ...                             # tensors; loader.state_dict() goes into the checkpoint
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from torch.utils.data import DataLoader, Dataset

from diffbgm.data.reader import Shuffled
from diffbgm.train.batches import Tensors, collate


class WindowDataset(Dataset[Tensors]):
    """Item k holds the windows at positions [k * batch, (k + 1) * batch) of a shuffled stream, stacked.

    Segments are padded with unknown ones that no beat attends to. An item is the same whoever asks for it
    and whenever, so any number of workers gives the same sequence.
    """

    def __init__(self, stream: Shuffled, batch: int) -> None:
        self.stream, self.batch = stream, batch

    def __len__(self) -> int:
        """Whole batches in an epoch."""
        return len(self.stream.windows) // self.batch

    def __getitem__(self, index: int) -> Tensors:
        first = index * self.batch
        return collate([self.stream.at(position) for position in range(first, first + self.batch)])


class WindowLoader:
    """Batches for ever, prepared by `workers` processes (0: by this one); goes on where it was.

    What workers have prepared ahead is not counted: the state is that of the batches handed out.
    """

    def __init__(self, stream: Shuffled, batch: int, workers: int = 0) -> None:
        self.stream, self.batch, self.workers = stream, batch, workers

    def __iter__(self) -> Iterator[Tensors]:
        dataset = WindowDataset(self.stream, self.batch)
        ahead = count(self.stream.position // self.batch)
        for batch in DataLoader(dataset, batch_size=None, sampler=ahead, num_workers=self.workers):
            self.stream.position += self.batch
            yield batch

    def state_dict(self) -> dict[str, int]:
        return self.stream.state_dict() | {"batch": self.batch}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on where `state_dict` was asked for. Raises InputError if the dataset has other windows now,
        ValueError for another size of batches."""
        if state["batch"] != self.batch:
            raise ValueError(f"batches of {self.batch}, expected {state['batch']} to go on")
        self.stream.load_state_dict({name: state[name] for name in ("seed", "position", "windows")})
