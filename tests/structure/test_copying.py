"""Fresh copies of models, as they are or with other settings."""

import keras
import numpy as np
import pytest
from keras import layers
from networks import dense, with_moving_average
from numpy.testing import assert_allclose

from pruninglib.structure.copying import fresh_copy, rebuild

X = np.random.default_rng(0).random((5, 4), np.float32)


def outputs(model, inputs):
    return np.array(keras.ops.convert_to_numpy(model(inputs)))


@pytest.mark.parametrize("functional", [False, True])
def test_copy_is_independent_and_computes_the_same(functional):
    parts = [keras.Input((4,)), dense(6, "gelu", name="a"), layers.Dropout(0.5), dense(3, name="b")]
    model = keras.Sequential(parts)
    if functional:
        model = keras.Model(model.inputs[0], model.outputs[0])
    twin = fresh_copy(model)
    expected = outputs(model, X)
    assert_allclose(outputs(twin, X), expected)
    names = [layer.name for layer in model.layers if not isinstance(layer, layers.InputLayer)]
    assert [twin.get_layer(name).name for name in names] == names
    twin.get_layer("a").kernel.assign(np.zeros((4, 6)))
    assert_allclose(outputs(model, X), expected)


def test_copy_has_the_changed_config(mlp):
    def narrower(layer, config):
        return config | ({"units": 2} if layer.name == "hidden_1" else {})

    twin = rebuild(mlp, narrower)
    assert twin.get_layer("hidden_1").kernel.shape == (4, 2)
    assert twin.get_layer("hidden_2").kernel.shape == (2, 5)


def test_copy_is_compiled_like_the_model_with_a_fresh_optimizer(trained):
    twin = rebuild(trained)
    assert twin.optimizer.get_config() == trained.optimizer.get_config()
    assert twin.loss.get_config() == trained.loss.get_config()
    assert twin.jit_compile == trained.jit_compile
    assert int(trained.optimizer.iterations) > 0 == int(twin.optimizer.iterations)


def test_copy_of_an_uncompiled_model_is_not_compiled(mlp):
    assert not rebuild(mlp).compiled


def test_frozen_layers_stay_frozen(mlp):
    mlp.get_layer("hidden_1").trainable = False
    assert len(rebuild(mlp).trainable_weights) == 2


def test_moving_average_of_the_weights_is_refused():
    with pytest.raises(ValueError, match=r"'mlp' has use_ema=True.*Compile with use_ema=False"):
        rebuild(with_moving_average())


def own_loss(labels, logits):
    return keras.ops.mean(logits)


def test_a_model_with_an_unregistered_loss_is_refused_with_the_mend():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.compile(loss=own_loss)
    with pytest.raises(ValueError, match="register_keras_serializable"):
        rebuild(model)


def test_a_moving_average_inside_a_loss_scale_is_refused():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    inner = keras.optimizers.Adam(use_ema=True)
    model.compile(keras.optimizers.LossScaleOptimizer(inner), "mse")
    with pytest.raises(ValueError, match="use_ema=False"):
        rebuild(model)


def test_nested_models_are_copied_with_their_nesting_weights_and_frozen_layers():
    inner = keras.Sequential([keras.Input((4,)), dense(3, name="a")], name="inner")
    inputs = keras.Input((4,))
    branch = keras.Model(inputs, dense(3, name="c")(inputs), name="branch")
    branch.trainable = False
    model = keras.Model(
        inputs, dense(2, name="b")(layers.Add(name="add")([inner(inputs), branch(inputs)]))
    )
    twin = fresh_copy(model)
    assert_allclose(outputs(twin, X), outputs(model, X))
    assert {layer.name for layer in twin.layers} >= {"inner", "branch", "add", "b"}
    assert len(twin.trainable_weights) == len(model.trainable_weights) == 4
    twin.get_layer("inner").get_layer("a").kernel.assign(np.zeros((4, 3)))
    assert np.abs(inner.get_layer("a").kernel).min() > 0


def test_a_normalization_that_was_adapted_stays_so():
    normalization = layers.Normalization()
    normalization.adapt(X * 3 + 1)
    model = keras.Sequential([keras.Input((4,)), normalization, dense(2)])
    assert_allclose(outputs(fresh_copy(model), X), outputs(model, X))


@keras.saving.register_keras_serializable(package="test_rebuilding")
class Own(keras.Model):
    def __init__(self, units, **settings):
        super().__init__(**settings)
        self.units, self.first, self.last = units, dense(units), dense(2)

    def call(self, inputs):
        return self.last(self.first(inputs))

    def get_config(self):
        return super().get_config() | {"units": self.units}


def test_a_subclassed_model_is_copied_by_its_config():
    model = Own(3)
    model.compile("sgd", "mse", jit_compile=False)
    model(X)
    twin = fresh_copy(model)
    assert_allclose(outputs(twin, X), outputs(model, X))
    assert twin.compiled and twin.optimizer is not model.optimizer
    with pytest.raises(ValueError, match="is subclassed, so its graph of layers cannot be read"):
        rebuild(model)


def test_a_subclassed_model_that_cannot_be_copied_says_so():
    class Unknown(keras.Model):
        def __init__(self, layer):
            super().__init__(name="unknown")
            self.layer = layer

        def call(self, inputs):
            return self.layer(inputs)

        def get_config(self):
            return {}

    model = Unknown(dense(2))
    model(X)
    with pytest.raises(ValueError, match="'unknown' cannot be copied"):
        fresh_copy(model)


@keras.saving.register_keras_serializable(package="test_copying")
class Scorer(keras.Model):
    """Makes its own layers, without names; has a weight and a training step of its own."""

    def __init__(self, filters=3, **settings):
        inputs = keras.Input((6, 2))
        x = layers.Conv1D(filters, 2, activation="relu", bias_initializer="normal")(inputs)
        super().__init__(inputs, layers.Dense(2)(layers.Flatten()(x)), **settings)
        self.filters, self.steps = filters, 0
        self.scale = self.add_weight(shape=(), trainable=False, name="scale")

    def train_step(self, *arguments, **named):
        self.steps += 1
        return super().train_step(*arguments, **named)

    def get_config(self):
        return {"filters": self.filters, "name": self.name}


def scorer():
    model = Scorer(5)
    model.compile("sgd", "mse")
    model.scale.assign(7.0)
    model.layers[1].trainable = False
    return model


def test_a_model_with_its_own_constructor_stays_of_its_class():
    model = scorer()
    twin = fresh_copy(model)
    x = np.random.default_rng(0).random((4, 6, 2), np.float32)
    assert type(twin) is Scorer and twin.filters == 5 and float(twin.scale) == 7
    assert_allclose(outputs(twin, x), outputs(model, x))
    assert [each.name for each in twin.layers[1:]] == [each.name for each in model.layers[1:]]
    assert len(twin.trainable_weights) == len(model.trainable_weights) == 2
    twin.fit(x, np.ones((4, 2)), verbose=0)
    assert twin.steps > 0 == model.steps


def test_in_a_nested_model_too():
    inner, inputs = scorer(), keras.Input((6, 2))
    twin = fresh_copy(keras.Model(inputs, dense(2)(inner(inputs))))
    assert type(twin.layers[1]) is Scorer and float(twin.layers[1].scale) == 7


class Weighted(keras.Model):
    def __init__(self, *args, share=0.5, **settings):
        super().__init__(*args, **settings)
        self.share = share


class Configured(Weighted):
    def get_config(self):
        return super().get_config() | {"share": self.share}


def test_settings_of_a_class_are_kept_or_it_is_refused():
    inputs = keras.Input((4,))
    outputs = dense(3)(inputs)
    twin = fresh_copy(Configured(inputs, outputs, share=0.9))
    assert type(twin) is Configured and twin.share == 0.9
    with pytest.raises(ValueError, match=r"get_config of Weighted leaves out \['share'\]"):
        fresh_copy(Weighted(inputs, outputs, share=0.9))


class Stack(keras.Sequential):
    def __init__(self, units, **settings):
        super().__init__([keras.Input((4,)), dense(units), dense(2)], **settings)
        self.units = units


class Restacked(Stack):
    def get_config(self):
        return {"units": self.units, "name": self.name}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def test_a_sequential_model_with_its_own_constructor_is_made_by_it_or_refused():
    model = Restacked(5)
    twin = fresh_copy(model)
    assert type(twin) is Restacked
    assert_allclose(outputs(twin, X), outputs(model, X))
    with pytest.raises(ValueError, match="cannot be copied"):
        fresh_copy(Stack(5))


@keras.saving.register_keras_serializable(package="test_copying")
class Similarity(layers.Layer):
    """Compares with the rows of an embedding that stands elsewhere in the model."""

    def __init__(self, parts, **settings):
        super().__init__(**settings)
        self.parts = parts

    def call(self, inputs):
        return keras.ops.matmul(inputs, keras.ops.transpose(self.parts[0].embeddings))

    def get_config(self):
        parts = [keras.saving.serialize_keras_object(part) for part in self.parts]
        return super().get_config() | {"parts": parts}

    @classmethod
    def from_config(cls, config):
        parts = [keras.saving.deserialize_keras_object(part) for part in config.pop("parts")]
        return cls(parts, **config)


class Untied(Similarity):
    @classmethod
    def from_config(cls, config):
        parts = [layers.Embedding.from_config(part["config"]) for part in config.pop("parts")]
        for part in parts:
            part.build()
        return cls(parts, **config)


def tied(kind, nested):
    inputs, embedding = keras.Input((3,), dtype="int32"), layers.Embedding(9, 4, name="words")
    encoder = keras.Sequential([keras.Input((3,)), embedding]) if nested else embedding
    x = dense(4, name="mix")(encoder(inputs))
    return keras.Model(inputs, kind([embedding], name="out")(x)), embedding


@pytest.mark.parametrize("nested", [False, True])
def test_tied_layers_stay_tied(nested):
    model, _ = tied(Similarity, nested)
    ids = np.array([[1, 8, 0]])
    twin = fresh_copy(model)
    part = twin.layers[1].layers[0] if nested else twin.get_layer("words")
    assert twin.get_layer("out").parts[0] is part
    assert len(twin.weights) == len(model.weights) == 3
    assert_allclose(outputs(twin, ids), outputs(model, ids), rtol=1e-6)


def test_a_tie_that_would_be_lost_is_refused():
    with pytest.raises(ValueError, match="other layers, or layers that share weights otherwise"):
        fresh_copy(tied(Untied, nested=False)[0])


def test_a_layer_inside_a_nested_model_and_outside_stays_one():
    shared, inner, inputs = dense(4, name="shared"), keras.Input((4,)), keras.Input((4,))
    nested = keras.Model(inner, shared(inner), name="nested")
    model = keras.Model(inputs, dense(2)(shared(nested(inputs))))
    twin = fresh_copy(model)
    assert twin.get_layer("shared") is twin.get_layer("nested").get_layer("shared")
    assert_allclose(outputs(twin, X), outputs(model, X))


class Power(layers.Layer):
    def __init__(self, exponent=1.0, **settings):
        super().__init__(**settings)
        self.exponent = exponent

    def call(self, inputs):
        return inputs**self.exponent

    def get_config(self):
        return super().get_config()


class Sampling(layers.Layer):
    """Has other outputs at each call, and another state of its generator in each copy."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.generator = keras.random.SeedGenerator()

    def call(self, inputs):
        return inputs + keras.random.normal(keras.ops.shape(inputs), seed=self.generator)


def test_a_setting_left_out_of_a_config_is_noticed_by_the_outputs():
    with pytest.raises(ValueError, match=r"other outputs, because of one of \['Power'\]"):
        fresh_copy(keras.Sequential([keras.Input((4,)), dense(3), Power(2.0)]))
    fresh_copy(keras.Sequential([keras.Input((4,)), dense(3), Power(), Sampling()]))


def test_layers_that_a_model_only_holds_are_refused():
    model = keras.Model(inputs := keras.Input((4,)), dense(3)(inputs))
    model.teacher = dense(5)
    with pytest.raises(ValueError, match="what its config makes has other layers"):
        fresh_copy(model)


@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
@pytest.mark.filterwarnings("ignore:Layer InputLayer does not have a `quantize` method")
def test_quantized_models_compute_the_same(mode):
    model = keras.Sequential([keras.Input((4,)), dense(6), dense(3)])
    model.quantize(mode)
    assert_allclose(outputs(fresh_copy(model), X), outputs(model, X), rtol=1e-6)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="texts need TensorFlow")
def test_a_vocabulary_goes_with_a_model_that_makes_its_own_layers():
    class Topics(keras.Model):
        def __init__(self, **settings):
            inputs = keras.Input((1,), dtype="string")
            words = layers.StringLookup(output_mode="one_hot", max_tokens=4, pad_to_max_tokens=True)
            super().__init__(inputs, dense(2)(words(inputs)), **settings)
            self.words = words

        def get_config(self):
            return {"name": self.name}

    model = Topics()
    model.words.adapt(np.array(["a", "b", "c"]))
    texts = keras.ops.convert_to_tensor([["c"], ["a"], ["z"]])
    assert_allclose(outputs(fresh_copy(model), texts), outputs(model, texts))


def test_training_a_copy_leaves_the_model_as_it_was():
    model = keras.Sequential([keras.Input((4,)), layers.BatchNormalization(), dense(3)])
    model.compile("adam", "mse")
    expected = outputs(model, X)
    fresh_copy(model).fit(X, np.ones((5, 3)), verbose=0)  # on JAX it gives its buffers away
    assert_allclose(outputs(model, X), expected)


def tied_by_closure():
    inputs, encoder = keras.Input((6,)), layers.Dense(6, name="encoder")
    decode = layers.Lambda(lambda x: keras.ops.matmul(x, encoder.kernel), output_shape=(6,))
    return keras.Model(inputs, decode(encoder(inputs)))


def tied_by_operation():
    inputs, encoder = keras.Input((6,)), layers.Dense(6, name="encoder")
    return keras.Model(inputs, keras.ops.matmul(encoder(inputs), encoder.kernel))


@pytest.mark.parametrize("make", [tied_by_closure, tied_by_operation])
def test_a_weight_from_outside_of_a_call_is_refused(make):
    with pytest.raises(ValueError, match="takes a weight or a layer from outside"):
        fresh_copy(make())


def test_a_lambda_keeps_the_names_that_it_knows():
    function = layers.Lambda(lambda x: np.float32(2) * x, output_shape=(3,))
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3), function])
    assert_allclose(fresh_copy(model)(np.ones((2, 4))), model(np.ones((2, 4))), rtol=1e-6)


def test_a_compile_of_a_class_of_one_s_own_is_told():
    class Own(keras.Model):
        def compile(self, strength):
            super().compile("sgd", "mse")
            self.strength = strength

    inputs = keras.Input((4,))
    model = Own(inputs, layers.Dense(3)(inputs))
    model.compile(5.0)
    with pytest.warns(UserWarning, match="not compiled: Own has a compile of its own"):
        assert not fresh_copy(model).compiled
