"""The entry point `lmms_eval.models`, which every command of lmms-eval imports: it imports nothing heavy."""

from lmms_eval.models.registry_v2 import ModelManifest


def manifests() -> list[ModelManifest]:
    """The models of this package, by the name that `lmms-eval --model` takes."""
    return [ModelManifest(model_id="eaglebench", chat_class_path="eaglebench.integrations.lmms_eval.model.EagleBench")]
