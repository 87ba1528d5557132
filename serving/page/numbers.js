// Numbers for people, written as in the pictures of `protohead explain`.

const MINUS = "\u2212";

/** Decimals that show a value of this size with three digits or two decimals. */
export function decimalsFor(largest) {
  if (largest === 0) return 2;
  return Math.min(Math.max(2, 2 - Math.floor(Math.log10(largest))), 6);
}

/** A number with its sign, a proper minus, and no sign where it rounds to zero. */
export function signed(value, decimals = 2) {
  const size =
    Math.abs(value) < 1e6 ? Math.abs(value).toFixed(decimals) : Math.abs(value).toExponential(2);
  if (!/[1-9]/.test(size)) return size;
  return (value < 0 ? MINUS : "+") + size;
}

/** A probability in per cent; 0 % and 100 % are kept for exactly that. */
export function percent(probability) {
  if (probability > 0 && probability < 0.0005) return "< 0.1 %";
  if (probability >= 0.9995 && probability < 1) return "> 99.9 %";
  return `${(100 * probability).toFixed(1)} %`;
}

/** How many times as probable a class is that leads by this many logit units (softmax). */
export function times(difference) {
  const ratio = Math.exp(Math.abs(difference));
  if (ratio >= 1e6) return "more than a million times";
  if (ratio >= 1000) return `about ${(Math.round(ratio / 100) * 100).toLocaleString("en")} times`;
  return `about ${ratio >= 10 ? Math.round(ratio) : ratio.toFixed(1)} times`;
}

export const plural = (count, noun, nouns = `${noun}s`) => `${count} ${count === 1 ? noun : nouns}`;

/** A small positive number as people write it: 7 × 10⁻⁷. */
export function scientific(value) {
  const [digit, power] = value.toExponential(0).split("e");
  const raised = [...power.replace("+", "")].map(
    (sign) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(sign)],
  );
  return `${digit} × 10${raised.join("")}`;
}
