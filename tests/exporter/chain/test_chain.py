"""A chain places what the logits are made of, exactly, whatever lies before the last layer."""

from __future__ import annotations

from functools import partial

import numpy as np
import onnx_ir as ir
import pytest
import torch
from chain_forms import FORMS, Form, require_sums, split_chain
from graphs import POOLED, classifier, images, ints, run

from exporter.errors import HeadError, SurgeryError
from exporter.head import Head, find_head
from exporter.inspection.cost import multiply_adds
from exporter.surgery import (
    AT_MAP,
    ROW,
    add_edit,
    add_prototype_outputs,
    add_steering,
    features_of,
    tap_features,
)

EVERY = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
TOP, K = 3, 3


def built(form: Form) -> tuple[ir.Model, Head]:
    """The classifier of a form, and its head."""
    model = classifier(form.tail, form.stored, opset=form.opset)
    return model, find_head(model)


def explained(model: ir.Model, head: Head, batch: int) -> dict[str, np.ndarray]:
    """What the explained graph answers with random prototypes and a mean reference."""
    prototypes, reference = split_chain(head, K)
    graph = add_prototype_outputs(
        model, head, prototypes, reference=reference, top=TOP, grid=head.grid
    )
    return run(graph, {"image": images(batch)})


@EVERY
def test_the_steps_are_named_from_the_logits_upwards(form):
    _, head = built(form)
    found = iter(head.chain.words)
    assert all(word in found for word in form.words), head.chain.words
    assert head.grid == (4, 3)
    assert head.chain.whole is form.whole


@EVERY
@pytest.mark.parametrize("batch", [1, 4])
def test_contributions_and_what_has_no_place_sum_to_a_logit_that_keeps_its_bits(form, batch):
    model, head = built(form)
    found = explained(model, head, batch)
    source = run(model, {"image": images(batch)})["logits"]
    require_sums(found, source, head)
    assert ("unplaced" in found) is not form.whole


@EVERY
def test_the_mean_of_a_heatmap_is_its_contribution(form):
    model, head = built(form)
    found = explained(model, head, 4)
    size = np.abs(found["contributions"]).max()
    means = found["heatmaps"].mean(axis=(3, 4))
    np.testing.assert_allclose(means, found["contributions"], atol=1e-5 * size)


@EVERY
def test_evidence_is_autograds_gradient_times_what_is_read_with_held_numbers_detached(form):
    model, head = built(form)
    rows = head.weight[:, None].astype(np.float32)
    graph = add_prototype_outputs(model, head, rows, reference=None, top=5, grid=head.grid)
    with_map = graph.clone()
    with_map.graph.outputs.append(
        next(value for node in with_map.graph for value in node.outputs if value.name == "map")
    )
    found = run(with_map, {"image": images(3)}, optimise=False)
    stored = {
        name: torch.tensor(value.const_value.numpy(), dtype=torch.float64)
        for name, value in model.graph.initializers.items()
        if value.dtype == ir.DataType.FLOAT
    }
    features = torch.tensor(found["map"], dtype=torch.float64, requires_grad=True)
    logits, leaves = form.torch(features, stored)
    leaves = leaves or [features]
    np.testing.assert_allclose(logits.detach(), found["logits"], rtol=1e-4, atol=1e-4)
    for slot in range(5):
        ids = torch.tensor(found["class_ids"][:, slot])
        chosen = logits.gather(1, ids[:, None]).sum()
        gradients = torch.autograd.grad(chosen, leaves, retain_graph=True)
        read = [g * leaf for g, leaf in zip(gradients, leaves, strict=True)]
        places = [r.flatten(2).sum(1) if r.ndim == 4 else r.sum(2) for r in read]
        expected = 12 * sum(places).detach().numpy().reshape(-1, 4, 3)
        heat = found["heatmaps"][:, slot, 0]
        np.testing.assert_allclose(heat, expected, atol=1e-5 * max(1, np.abs(expected).max()))


@EVERY
def test_heat_is_prototypes_at_what_each_place_gives_in_both_graphs(form):
    model, head = built(form)
    prototypes, reference = split_chain(head, K)
    tapped = tap_features(model, head)
    row = {ROW: np.zeros((1, 1, head.chain.size), np.float32)} if head.chain.map else {}
    features = run(tapped, {"image": images(2), **row})[features_of(head)]  # (b, p, d)
    found = explained(model, head, 2)
    steerable = add_steering(model, head, prototypes, reference=reference, grid=head.grid)
    steered = run(
        steerable,
        {
            "image": images(2),
            "prototype_mask": np.ones((5, K), np.float32),
            "classes": found["class_ids"],
        },
    )
    np.testing.assert_array_equal(steered["logits"], found["logits"])
    chosen = prototypes[found["class_ids"]]  # (b, t, k, d)
    expected = np.einsum("bpd,btkd->btkp", features, chosen).reshape(found["heatmaps"].shape)
    for maps in (found["heatmaps"], steered["heatmaps"]):
        np.testing.assert_allclose(maps, expected, atol=2e-5 * np.abs(expected).max())


@EVERY
def test_a_muted_prototype_takes_its_contribution_from_the_logit(form):
    model, head = built(form)
    prototypes, reference = split_chain(head, K)
    steerable = add_steering(model, head, prototypes, reference=reference, grid=head.grid)
    mask = np.ones((5, K), np.float32)
    classes = np.tile(np.arange(5), (2, 1))
    feeds = {"image": images(2), "classes": classes}
    whole = run(steerable, {**feeds, "prototype_mask": mask})
    mask[2, 1] = 0
    muted = run(steerable, {**feeds, "prototype_mask": mask})
    lost = whole["logits"] - muted["logits"]
    np.testing.assert_allclose(lost[:, 2], whole["contributions"][:, 2, 1], rtol=1e-3, atol=1e-3)
    np.testing.assert_array_equal(np.delete(lost, 2, axis=1), 0)


MAPPED = {name: form for name, form in FORMS.items() if "attention" not in form.words}


@pytest.mark.parametrize("form", MAPPED.values(), ids=MAPPED)
def test_a_row_at_the_map_reads_the_evidence_off_it_where_each_place_is_read_alike(form):
    model, head = built(form)
    row = head.weight[1, head.chain.mapped :].astype(np.float32)
    found = run(tap_features(model, head), {"image": images(2), ROW: row[None, None]})
    features = found[features_of(head)]
    assert found[AT_MAP].shape[1:] == (1, 6)
    if all("mean" in word for word in head.chain.words if " of " in word):
        own = features[:, :, :6]
        evidence = features[:, :, 6:] @ row
        np.testing.assert_allclose(
            (own * found[AT_MAP]).sum(axis=2), evidence, rtol=1e-3, atol=1e-3
        )


@pytest.mark.parametrize("form", MAPPED.values(), ids=MAPPED)
def test_a_prototype_that_an_edit_mutes_has_no_heat_and_the_others_keep_theirs(form):
    model, head = built(form)
    prototypes, reference = split_chain(head, K)
    steerable = add_steering(model, head, prototypes, reference=reference, grid=head.grid)
    edited = add_edit(
        steerable, "logits", [(2, 1)], shape=prototypes.shape, logits_shape=head.logits_shape
    )
    mask, classes = np.ones((5, K), np.float32), np.tile(np.arange(5), (2, 1))
    feeds = {"image": images(2), "classes": classes, "prototype_mask": mask}
    heat, left = (run(graph, feeds)["heatmaps"] for graph in (steerable, edited))
    assert heat[:, 2, 1].any()
    heat[:, 2, 1] = 0
    np.testing.assert_array_equal(left, heat)


def test_a_class_whose_row_is_zero_has_no_heat():
    form = FORMS["two layers, ReLU"]
    model = classifier(form.tail, {**form.stored, "weight": np.zeros((5, 6), np.float32)})
    head = find_head(model)
    prototypes = np.zeros((5, K, head.weight.shape[1]), np.float32)
    graph = add_prototype_outputs(model, head, prototypes, reference=None, top=TOP, grid=head.grid)
    found = run(graph, {"image": images(2)})
    np.testing.assert_array_equal(found["heatmaps"], 0)


@pytest.mark.parametrize("form", MAPPED.values(), ids=MAPPED)
def test_prototypes_that_share_no_row_behind_the_map_are_refused(form):
    model, head = built(form)
    prototypes, reference = split_chain(head, K)
    prototypes[2, 1, -1] += 0.1
    message = "multiples of the class's row .* got one of class 2 that differs by 0.0"
    for add in (partial(add_prototype_outputs, top=TOP), add_steering):
        with pytest.raises(SurgeryError, match=message):
            add(model, head, prototypes, reference=reference, grid=head.grid)


def test_what_more_prototypes_cost_is_not_the_way_back_through_the_head():
    model, head = built(FORMS["all positions, two layers, as in VGG"])
    costs = []
    for k in (K, 2 * K):
        prototypes, reference = split_chain(head, k)
        graph = add_prototype_outputs(
            model, head, prototypes, reference=reference, top=TOP, grid=head.grid
        )
        costs.append(multiply_adds(graph))
    off_the_map, sums, shares = 6 * 12, 12, 6  # d p, d + H, H
    assert costs[1] - costs[0] == TOP * K * (off_the_map + sums + shares)


KEPT = (
    "two layers, ReLU",
    "two layers, HardSwish",
    "two layers, GELU spelled out",
    "LayerNorm between two layers",
    "maximum and mean, joined, as in fastai",
    "all positions, two layers, as in VGG",
)


@pytest.mark.parametrize("name", KEPT)
def test_a_hidden_layer_whose_result_runtimes_keep_is_read_once_more_to_explain_it(name):
    model, head = built(FORMS[name])
    prototypes, reference = split_chain(head, K)
    graph = add_prototype_outputs(
        model, head, prototypes, reference=reference, top=TOP, grid=head.grid
    )
    readers = graph.graph.initializers["w1"].uses()
    added = [use for use in readers if use.node.name.startswith("protohead/")]
    assert len(added) == 1


def test_a_map_that_is_flattened_channels_last_is_put_in_order_without_a_matrix():
    model, head = built(FORMS["all positions, channels last, as Keras flattens"])
    prototypes, reference = split_chain(head, K)
    graphs = (
        add_prototype_outputs(
            model, head, prototypes, reference=reference, top=TOP, grid=head.grid
        ),
        tap_features(model, head),
    )
    whole = 6 * 12  # numbers of the map; a matrix would have their square
    for graph in graphs:
        stored = {value.const_value.size for value in graph.graph.initializers.values()}
        assert max(stored) < whole**2


def test_a_place_of_a_maximum_has_all_of_its_channel_and_ties_share_it():
    form = FORMS["maximum"]
    model, head = built(form)
    found = run(tap_features(model, head), {"image": images(2), ROW: np.zeros((1, 1, 6), "f")})
    features = found[features_of(head)]
    own, given = features[:, :, :6], features[:, :, 6:]
    at = own == own.max(axis=1, keepdims=True)
    np.testing.assert_allclose(given, np.where(at, 12 * own / at.sum(axis=1, keepdims=True), 0))


def of_two_images(model: ir.Model) -> ir.Model:
    """The classifier for a batch of two images, and no other."""
    model.graph.inputs[0].shape = ir.Shape([2, 3, 8, 6])
    model.graph.outputs[0].shape = ir.Shape([2, 5])
    return model


@EVERY
def test_a_head_with_a_fixed_batch_of_two_images_is_explained(form):
    stored = {name: ints(2, 6, 12) if name == "to_bdp" else w for name, w in form.stored.items()}
    model = of_two_images(classifier(form.tail, stored, opset=form.opset))
    head = find_head(model)
    assert head.chain is not None
    found = explained(model, head, 2)
    require_sums(found, run(model, {"image": images(2)})["logits"], head)


def test_a_class_token_stored_for_each_image_of_a_fixed_batch_is_refused_with_what_would_do():
    form = FORMS["a class token over two blocks"]
    tail = form.tail.replace("first = Expand (cls, to)", "first = Identity (cls)")
    model = of_two_images(classifier(tail, {**form.stored, "cls": (2, 1, 6)}))
    with pytest.raises(HeadError, match=r"fixed to 2 images: .* free batch") as refused:
        find_head(model)
    assert "\n" not in str(refused.value)


def test_a_hidden_layer_that_adds_other_numbers_to_each_image_of_a_fixed_batch_is_refused():
    form = FORMS["two layers, ReLU"]
    tail = form.tail.replace("a = Relu (h)", "t = Add (h, each) a = Relu (t)")
    model = of_two_images(classifier(tail, {**form.stored, "each": (2, 6)}))
    with pytest.raises(HeadError, match="fixed to 2 images"):
        find_head(model)


def test_a_norm_that_is_a_feature_and_divides_nothing_is_refused():
    tail = (
        f"{POOLED} [norm] n = ReduceL2 <axes = [1], keepdims = 1> (z) r = Relu (n) "
        "a = Concat <axis = 1> (z, r) logits = MatMul (a, w)"
    )
    with pytest.raises(HeadError, match=r"'norm' computes a norm of features"):
        find_head(classifier(tail, {"w": (7, 5)}))


def test_patches_that_lie_column_by_column_on_the_image_are_refused():
    form = FORMS["attention pooling by a stored query"]
    swapped = "turned = Transpose <perm = [0, 1, 3, 2]> (map) cut = Conv (turned, kernel) "
    tail = swapped + form.tail.replace("Reshape (map", "Reshape (cut")
    with pytest.raises(HeadError, match="column by column"):
        find_head(classifier(tail, {**form.stored, "kernel": (6, 6, 1, 1)}))
