// What a file is by its first bytes: names and types of files lie, and people pick what they have.

const HEAD = 256; // bytes

const ascii = (text) => [...text].map((letter) => letter.charCodeAt(0));

/** First bytes, where they begin, and what they are; `format` as the server names what it reads. */
const KINDS = [
  { bytes: [0xff, 0xd8, 0xff], format: "JPEG" },
  { bytes: [0x89, ...ascii("PNG\r\n")], format: "PNG" },
  { bytes: ascii("WEBP"), at: 8, format: "WEBP" },
  { bytes: ascii("GIF8"), format: "GIF" },
  { bytes: ascii("BM"), format: "BMP" },
  { bytes: ascii("II*\0"), format: "TIFF", what: "a TIFF or raw photo", export: true },
  { bytes: ascii("MM\0*"), format: "TIFF", what: "a TIFF or raw photo", export: true },
  { bytes: [0, 0, 0, 12, ...ascii("JXL ")], what: "a JPEG XL picture", export: true },
  { bytes: [0xff, 0x0a], what: "a JPEG XL picture", export: true },
  { bytes: [0, 0, 0, 12, ...ascii("jP")], what: "a JPEG 2000 picture", export: true },
  { bytes: ascii("8BPS"), what: "a Photoshop document", export: true },
  { bytes: ascii("%PDF"), what: "a PDF" },
  { bytes: [0xd0, 0xcf, 0x11, 0xe0], what: "an office document" },
  { bytes: ascii("PK\x03\x04"), what: "a ZIP archive or an office document" },
  { bytes: [0x1f, 0x8b], what: "a compressed file" },
  { bytes: [0x1a, 0x45, 0xdf, 0xa3], what: "a video" },
  { bytes: ascii("AVI "), at: 8, what: "a video" },
  { bytes: ascii("WAVE"), at: 8, what: "a sound" },
  { bytes: ascii("ID3"), what: "a sound" },
];

// An ISO media file says at its byte 8 what is in it.
const BRANDS = [
  [/^(hei[cxms]|hev[cxms]|mif1|msf1)/, { what: "a HEIC photo", export: true }],
  [/^avi[fs]/, { what: "an AVIF picture", export: true }],
  [/^crx /, { what: "a raw photo", export: true }],
  [/^/, { what: "a video" }],
];

/**
 * @param {Blob} file
 * @returns {Promise<{format?: string, what?: string, export?: boolean}>} empty where it is not
 *   known; `export`: a picture that a program for photographs can save as another kind
 */
export async function kindOf(file) {
  if (file.size === 0) return { what: "an empty file" };
  const head = new Uint8Array(await file.slice(0, HEAD).arrayBuffer());
  const has = ({ bytes, at = 0 }) => bytes.every((byte, i) => head[at + i] === byte);
  if (has({ bytes: ascii("ftyp"), at: 4 })) {
    const brand = String.fromCharCode(...head.slice(8, 12));
    return BRANDS.find(([pattern]) => pattern.test(brand))[1];
  }
  const known = KINDS.find(has);
  if (known !== undefined) return known;
  const text = String.fromCharCode(...head).trimStart();
  if (/^<svg|^<\?xml.*<svg/is.test(text)) return { what: "an SVG drawing", export: true };
  if (/^<(!doctype )?html/i.test(text)) return { what: "a web page" };
  return {};
}
