"""The metrics by name: what each says, which way is better, where it comes from."""

from __future__ import annotations

from exporter.evaluate.results import MetricRecord

_PARTS = "Huang et al., ICCV 2023"
_ZHU = "Zhu et al., CVPR 2025"
_TRUTH = "after Hesse et al., ICCV 2023 (FunnyBirds)"
_PURITY = "ours, after Nauta et al., CVPR 2023 (PIP-Net)"
_SHAPE = "ours, with the threshold of Zhu et al., CVPR 2025"
_PAPER = "Tan, Zhou and Chen, ICML 2024"

METRICS: tuple[MetricRecord, ...] = tuple(
    MetricRecord(name=name, title=title, better=better, meaning=meaning, source=source)
    for name, title, better, meaning, source in (
        (
            "consistency",
            "Consistency",
            "higher",
            "share of prototypes that hit one part in 80 % of the images",
            _PARTS,
        ),
        (
            "distinct_parts",
            "Distinct parts",
            "higher",
            "the same, each part counted once",
            _ZHU,
        ),
        (
            "stability",
            "Stability",
            "higher",
            "share of equal hits under noise",
            _PARTS,
        ),
        (
            "distinctiveness",
            "Distinctiveness",
            "higher",
            "1 - overlap of the boxes at the peaks",
            _ZHU,
        ),
        (
            "comprehensiveness",
            "Comprehensiveness",
            "higher",
            "overlap of all heatmaps together with the foreground",
            _ZHU,
        ),
        (
            "part_purity",
            "Part purity",
            "higher",
            "share of a heatmap's evidence that lies on its part",
            _PURITY,
        ),
        (
            "part_iou",
            "Part IoU",
            "higher",
            "overlap of a heatmap with its part",
            _SHAPE,
        ),
        (
            "deletion_rank",
            "Part deletion, rank",
            "higher",
            "rank correlation of a part's evidence with the drop of the logit without it",
            _TRUTH,
        ),
        (
            "deletion_share",
            "Part deletion, share",
            "higher",
            "share of the change without a part that its own prototype takes",
            _TRUTH,
        ),
        (
            "background_independence",
            "Background independence",
            "higher",
            "1 - change of the contributions before another backdrop",
            _TRUTH,
        ),
        (
            "background_evidence",
            "Evidence on background",
            "lower",
            "share of the evidence that lies off the object",
            _TRUTH,
        ),
        (
            "prototype_deletion",
            "Prototype deletion",
            "lower",
            "area under the probability as prototypes are muted, largest first",
            "after Petsiuk et al., BMVC 2018 (RISE)",
        ),
        (
            "prototype_insertion",
            "Prototype insertion",
            "higher",
            "the same, from none to all",
            "after Petsiuk et al., BMVC 2018 (RISE)",
        ),
        (
            "pixel_deletion",
            "Pixel deletion",
            "lower",
            "area under the probability as the hottest pixels turn grey",
            "Petsiuk et al., BMVC 2018 (RISE)",
        ),
        (
            "pixel_insertion",
            "Pixel insertion",
            "higher",
            "area under the probability as the hottest pixels are put into a blurred image",
            "Petsiuk et al., BMVC 2018 (RISE)",
        ),
        (
            "completeness",
            "Completeness residual",
            "lower",
            "|sum of contributions + bias + common - logit|, of the largest logit",
            f"{_PAPER}, eq. 8",
        ),
        (
            "axioms",
            "Axioms",
            "lower",
            "largest violation of the paper's four, of the largest logit",
            f"{_PAPER}, Table 1; Sundararajan et al., ICML 2017",
        ),
        (
            "negative_share",
            "Negative evidence",
            "lower",
            "share of the contributions that count against the class",
            _PAPER,
        ),
        (
            "norm_sum",
            "Sum of norms",
            "lower",
            "sum of the prototypes' norms over the norm of their sum; 1 is no cancellation",
            "docs/method.md",
        ),
        (
            "cosine",
            "Redundancy, prototypes",
            "lower",
            "mean |cosine| of two prototypes of a class",
            "docs/evaluation.md",
        ),
        (
            "correlation",
            "Redundancy, heatmaps",
            "lower",
            "mean correlation of two heatmaps of an image",
            "docs/evaluation.md",
        ),
        (
            "mirror",
            "Mirroring",
            "higher",
            "correlation of the heatmaps of the mirrored image, mirrored back",
            "docs/evaluation.md",
        ),
        (
            "shift",
            "Shifting",
            "higher",
            "correlation of the heatmaps after a shift by one cell, shifted back",
            "docs/evaluation.md",
        ),
        (
            "randomisation",
            "Randomised network",
            "lower",
            "rank correlation of the heatmaps with those of a network of shuffled weights",
            "Adebayo et al., NeurIPS 2018",
        ),
        (
            "seed_overlap",
            "Agreement of seeds",
            "higher",
            "correlation of matched heatmaps of prototypes found with another seed",
            "docs/evaluation.md",
        ),
        (
            "seed_place",
            "Same place with another seed",
            "higher",
            "share of matched heatmaps whose boxes at the peaks overlap by half",
            "docs/evaluation.md",
        ),
    )
)

BY_NAME = {metric.name: metric for metric in METRICS}
