// What a client needs of an artifact beside its graph: the manifest and the head's bias.

const FORMAT = "protohead/1";

/**
 * @typedef {object} Artifact
 * @property {object} manifest docs/format.md says what is in it
 * @property {Float32Array} bias of each class, logit units
 */

/**
 * Read what lies beside the graph.
 *
 * @param {(name: string) => Promise<Uint8Array>} read the bytes of a file of the artifact
 * @returns {Promise<Artifact>}
 */
export async function openArtifact(read) {
  const manifest = JSON.parse(new TextDecoder().decode(await read("manifest.json")));
  if (manifest.format !== FORMAT) {
    throw new Error(`manifest.json: expected format ${FORMAT}, got ${manifest.format}.`);
  }
  return { manifest, bias: tensorOf(await read("prototypes.safetensors"), "bias") };
}

/** A float32 tensor of a safetensors file: eight bytes of length, a header, the values. */
function tensorOf(bytes, name) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = Number(view.getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  if (header[name]?.dtype !== "F32") {
    throw new Error(`expected a safetensors file with a float32 ${name}.`);
  }
  const [from, to] = header[name].data_offsets;
  const start = bytes.byteOffset + 8 + length;
  return new Float32Array(bytes.buffer.slice(start + from, start + to));
}
