"""Where finished pictures are kept: in this process's memory, and on a disk that the workers share."""
