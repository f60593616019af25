"""task=predict: ask a finished run about an image."""

from pathlib import Path

from eaglebench.config.compose import Command
from eaglebench.config.finished_run import config_of_run, run_folder
from eaglebench.utils.errors import UserError


def predict(command: Command) -> None:
    """Print the answer of the run to the prompt, about the image if there is one.

    Raises:
        UserError: there is no such run or image.
    """
    folder, config = run_folder(command), config_of_run(command)
    image, prompt = command.config.image, command.config.prompt
    assert prompt is not None
    if image is not None and not Path(image).is_file():
        raise UserError(f"image={image} does not exist.")
    from eaglebench.trained import Run  # here, so that mistakes above are answered before torch is imported

    print(Run(folder, config).ask(image, prompt))
