"""Puts an inference program into a model's archive, as a training job.

The SDK adds a step of its own to a pipeline whose model has an `entry_point`: its job gets the model's
archive as channel `training` and leaves the archive with the program in `code/`. The SDK uploads the program of
that step; this one stands for it where there is only the definition.
"""

import argparse
import os
import pathlib
import shutil
import tarfile

# What lies beside the program for this step only.
OWN = {"_repack_model.py", "_repack_script_launcher.sh"}


def repack(sources, archive, model, inference_script, dependencies, source_dir):
    """Make a model's folder of an archive and of the sources that serve it."""
    with tarfile.open(archive) as packed:
        packed.extractall(model, filter="data")
    code = model / "code"
    if source_dir:
        shutil.rmtree(code, ignore_errors=True)
        shutil.copytree(sources, code, ignore=shutil.ignore_patterns(*OWN))
        return
    code.mkdir(exist_ok=True)
    shutil.copy2(sources / inference_script, code / inference_script)
    for name in dependencies.split():
        dependency = sources / pathlib.PurePath(name).name
        if dependency.is_dir():
            shutil.copytree(dependency, code / "lib" / dependency.name, dirs_exist_ok=True)
        else:
            (code / "lib").mkdir(exist_ok=True)
            shutil.copy2(dependency, code / "lib")


def main():
    """Repack as the job's hyperparameters say."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--inference_script", default="inference.py")
    parser.add_argument("--model_archive", default="model.tar.gz")
    parser.add_argument("--dependencies", default="")
    parser.add_argument("--source_dir", default="")
    options, _ = parser.parse_known_args()
    archive = pathlib.PurePosixPath(options.model_archive).name
    repack(
        pathlib.Path(__file__).resolve().parent,
        pathlib.Path(os.environ["SM_CHANNEL_TRAINING"]) / archive,
        pathlib.Path(os.environ["SM_MODEL_DIR"]),
        options.inference_script,
        options.dependencies,
        options.source_dir,
    )
    print(f"{options.inference_script} is in the model's archive")


if __name__ == "__main__":
    main()
