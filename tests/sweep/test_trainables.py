"""The functions that can be swept, and the recipes that they take."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import sleepers
from pydantic import ValidationError

from sweep.errors import StudyFileError
from sweep.trainables import OURS, build_config, config_class, load_function, recipe_keys
from trainer.config import TrainConfig

Written = Callable[[str], str]


@pytest.fixture
def written(tmp_path: Path, request: pytest.FixtureRequest) -> Written:
    """Writes a module of its own into the current folder and names its function `train`."""
    name = f"trainer_of_{abs(hash(request.node.nodeid))}"

    def write(text: str) -> str:
        (tmp_path / f"{name}.py").write_text(dedent(text))
        importlib.invalidate_caches()
        return f"{name}:train"

    return write


def test_a_function_is_loaded_by_module_and_name() -> None:
    assert load_function("sleepers:sleep") is sleepers.sleep


def test_a_module_in_the_current_folder_is_found(written: Written) -> None:
    function = load_function(written("def train(config, context): return config"))
    assert function({"x": 1}, None) == {"x": 1}  # type: ignore[arg-type, comparison-overlap]


@pytest.mark.parametrize(
    "name", ["nowhere:train", "sleepers:wake", "sleepers.deeper:sleep", "sleepers", "sleepers:"]
)
def test_a_function_that_is_not_there_is_told_with_its_name(name: str) -> None:
    with pytest.raises(StudyFileError, match=f"must be an importable module:function; got '{name}'"):
        load_function(name)


def test_a_module_that_lacks_a_package_is_told_with_the_package(written: Written) -> None:
    name = written("import a_package_that_nobody_has")
    with pytest.raises(StudyFileError, match="a_package_that_nobody_has"):
        load_function(name)


@pytest.mark.parametrize(
    "text",
    [
        "def train(config, context:",
        "1 / 0",
        "undefined_name",
        "raise SystemExit(0)",
    ],
)
def test_a_module_that_cannot_be_run_is_told_with_its_name(written: Written, text: str) -> None:
    with pytest.raises(StudyFileError, match="trainer_of_"):
        load_function(written(text))


@pytest.mark.parametrize(
    "text",
    [
        "def train(): ...",
        "def train(config): ...",
        "def train(config, context, more): ...",
        "train = 3",
        "train = None",
    ],
)
def test_anything_but_a_function_of_config_and_context_is_refused(written: Written, text: str) -> None:
    with pytest.raises(StudyFileError, match=r"must be a function of \(config, context\); got 'trainer_of_"):
        load_function(written(text))


def test_an_instance_that_can_be_called_is_a_function_too(written: Written) -> None:
    name = written(
        """
        class Trainer:
            def __call__(self, config, context):
                return config["x"]
        train = Trainer()
        """
    )
    assert load_function(name)({"x": 4}, None) == 4  # type: ignore[arg-type, comparison-overlap]


def test_our_recipes_are_train_configs() -> None:
    assert config_class(OURS) is TrainConfig
    assert recipe_keys(TrainConfig) == set(TrainConfig.model_fields)


@pytest.mark.parametrize(
    "annotation", ["", ": dict", ": dict[str, int]", ": Mapping[str, Any]", ": object", ": Recipe"]
)
def test_a_function_of_any_mapping_takes_recipes_as_they_are(written: Written, annotation: str) -> None:
    name = written(
        f"""
        from collections.abc import Mapping
        from typing import Any, TypedDict
        class Recipe(TypedDict):
            x: int
        def train(config{annotation}, context): ...
        """
    )
    assert config_class(name) is None
    assert recipe_keys(None) is None
    assert build_config(None, {"x": 1}) == {"x": 1}


def test_a_recipe_that_is_handed_out_is_a_copy() -> None:
    recipe = {"x": 1}
    assert build_config(None, recipe) is not recipe


@pytest.mark.parametrize("annotation", ["Any", "dict | None", "int | dict"])
def test_an_annotation_that_names_no_class_of_recipes_takes_them_as_they_are(
    written: Written, annotation: str
) -> None:
    name = written(f"from typing import Any\ndef train(config: {annotation}, context): ...")
    assert config_class(name) is None


def test_annotations_that_only_a_type_checker_sees_do_no_harm(written: Written) -> None:
    name = written(
        """
        from __future__ import annotations
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            from trainer import RunContext, TrainResult
        def train(config: dict, context: RunContext) -> TrainResult: ...
        """
    )
    assert config_class(name) is None


def test_an_annotation_of_the_context_that_only_a_type_checker_sees_leaves_the_class_of_recipes(
    written: Written,
) -> None:
    name = written(
        """
        from __future__ import annotations
        from typing import TYPE_CHECKING
        from trainer.config import TrainConfig
        if TYPE_CHECKING:
            from trainer import RunContext, TrainResult
        def train(config: TrainConfig, context: RunContext) -> TrainResult: ...
        """
    )
    assert config_class(name) is TrainConfig


@pytest.mark.parametrize("made", ["functools.partial(with_scale, 2)", "Trainer()"])
def test_anything_that_can_be_called_takes_recipes_as_they_are(written: Written, made: str) -> None:
    name = written(
        f"""
        import functools
        def with_scale(scale, config, context): ...
        class Trainer:
            def __call__(self, config, context): ...
        train = {made}
        """
    )
    assert config_class(name) is None


MODEL = """
    from __future__ import annotations
    from pydantic import BaseModel
    class Recipe(BaseModel, extra="forbid"):
        width: int
        depth: int = 2
    def train(config: Recipe, context): ...
"""


def test_a_pydantic_model_tells_its_keys_and_validates(written: Written) -> None:
    config = config_class(written(MODEL))
    assert recipe_keys(config) == {"width", "depth"}
    assert build_config(config, {"width": 3}).model_dump() == {"width": 3, "depth": 2}
    with pytest.raises(ValidationError):
        build_config(config, {"width": "wide"})


DATACLASS = """
    from __future__ import annotations
    from dataclasses import dataclass, field
    @dataclass
    class Recipe:
        width: int
        depth: int = 2
        area: int = field(init=False, default=0)
    def train(config: Recipe, context): ...
"""


def test_a_dataclass_tells_the_keys_that_it_is_made_of(written: Written) -> None:
    config = config_class(written(DATACLASS))
    assert recipe_keys(config) == {"width", "depth"}
    assert dataclasses.asdict(build_config(config, {"width": 3})) == {"width": 3, "depth": 2, "area": 0}
    with pytest.raises(TypeError):
        build_config(config, {})


def test_any_other_class_tells_the_parameters_of_its_constructor(written: Written) -> None:
    config: Any = config_class(
        written(
            """
            class Recipe:
                def __init__(self, width, depth=2):
                    self.width, self.depth = width, depth
            def train(config: Recipe, context): ...
            """
        )
    )
    assert recipe_keys(config) == {"width", "depth"}
    assert build_config(config, {"width": 3}).depth == 2


def test_a_class_that_takes_any_keyword_may_get_any_key(written: Written) -> None:
    name = written(
        """
        class Recipe:
            def __init__(self, depth=2, **keys):
                self.keys = keys
        def train(config: Recipe, context): ...
        """
    )
    config: Any = config_class(name)
    assert recipe_keys(config) is None
    assert build_config(config, {"depth": 1, "width": 3}).keys == {"width": 3}


def test_a_class_that_does_not_tell_its_parameters_may_get_any_key(written: Written) -> None:
    name = written("from types import SimpleNamespace\ndef train(config: SimpleNamespace, context): ...")
    keys = recipe_keys(config_class(name))
    assert keys is None or "width" in keys


def test_a_function_that_does_not_tell_its_parameters_is_refused() -> None:
    with pytest.raises(StudyFileError, match=r"got 'math:hypot'"):
        load_function("math:hypot")
