// From an image file's pixels to an explained prediction; the runtime is the caller's.
//
//   picture -> makeView -> toTensor -> (the runtime) -> explain -> overlay

export { openArtifact } from "./artifact.js";
export { decode } from "./decode.js";
export { explain, numbersOf, probabilities } from "./explain.js";
export { overlay } from "./overlay.js";
export { peakOf } from "./peaks.js";
export { fromRGBA, makeView, toRGBA, toTensor } from "./preprocess.js";
export { resize } from "./resample.js";
