// Where heatmaps peak in the picture: serving/drawing/peaks.py.

const A = -0.75; // the kernel of OpenCV's and torch's bicubic interpolation

/** Keys' cubic convolution kernel. */
function keys(x) {
  if (x <= 1) return (A + 2) * x ** 3 - (A + 3) * x ** 2 + 1;
  return x < 2 ? A * (x ** 3 - 5 * x ** 2 + 8 * x - 4) : 0;
}

/** The four places and weights of each place of a longer line, the border repeated. */
function taps(from, to) {
  return Array.from({ length: to }, (_, place) => {
    const centre = ((place + 0.5) * from) / to - 0.5;
    const left = Math.floor(centre);
    return [-1, 0, 1, 2].map((offset) => [
      Math.min(from - 1, Math.max(0, left + offset)),
      keys(Math.abs(centre - (left + offset))),
    ]);
  });
}

/**
 * The first largest pixel of a heatmap upsampled bicubically.
 *
 * @param {{width: number, height: number, data: Float32Array}} heatmap row by row
 * @param {{width: number, height: number}} view the picture it lies on
 * @returns {[number, number]} x and y, pixels of the view
 */
export function peakOf(heatmap, view) {
  const columns = taps(heatmap.width, view.width);
  const rows = taps(heatmap.height, view.height);
  const narrow = new Float32Array(heatmap.width);
  let [most, found] = [-Infinity, [0, 0]];
  for (let y = 0; y < view.height; y += 1) {
    narrow.fill(0);
    for (let x = 0; x < heatmap.width; x += 1) {
      let sum = 0;
      for (const [row, weight] of rows[y]) sum += heatmap.data[row * heatmap.width + x] * weight;
      narrow[x] = sum;
    }
    for (let x = 0; x < view.width; x += 1) {
      let sum = 0;
      for (const [column, weight] of columns[x]) sum += narrow[column] * weight;
      const value = Math.fround(sum);
      if (value > most) [most, found] = [value, [x, y]];
    }
  }
  return found;
}
