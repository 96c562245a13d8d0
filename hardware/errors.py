"""What can go wrong while looking at a machine."""


class HardwareError(Exception):
    """A machine could not be inspected or described; the message is one line a person can act on."""


class UnknownDeviceError(HardwareError):
    """A device name matched no profile; the message names the nearest ones or the facts to supply."""


class DescriptionError(HardwareError):
    """A machine description such as "2x RTX 4090, 64GiB" could not be understood."""
