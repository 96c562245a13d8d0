"""Fuzz targets for everything that reads what others wrote; each runs for as long as it is told to.

python -m tests.fuzz.gguf --seconds 600

The targets are gguf, safetensors, config, ollama, card and measurements. With atheris installed (`pip install atheris` in an
environment beside the project's own, which never needs it) bytes are changed under the guidance of branch coverage;
without it they are changed blindly. Either way an input fails that raises anything but the planner's own errors,
takes longer than two seconds, or makes the process grow by more than 256 MiB. What failed is written to a file whose
path is printed; once mended, it belongs into `regressions/TARGET/`, which the ordinary tests read.
"""
