// Figures of round trips, and how the page /diagnostics shows them.

/** Median, 95th percentile (nearest rank) and mean difference of neighbours (as in RFC 3550, unsmoothed). */
export function statistics(samples) {
  const sorted = [...samples].sort((one, other) => one - other);
  const rank = (share) => sorted[Math.max(Math.ceil(share * sorted.length) - 1, 0)];
  const steps = samples.slice(1).map((sample, index) => Math.abs(sample - samples[index]));
  const jitter = steps.length ? steps.reduce((sum, step) => sum + step, 0) / steps.length : 0;
  return { median: rank(0.5), p95: rank(0.95), jitter };
}

/** The points of a line through samples, for an SVG `polyline` of that size. */
export function sparkline(samples, width, height) {
  const highest = Math.max(...samples, Number.MIN_VALUE);
  const step = samples.length > 1 ? width / (samples.length - 1) : 0;
  return samples
    .map((sample, index) => `${(index * step).toFixed(1)},${(height - (sample / highest) * height).toFixed(1)}`)
    .join(" ");
}

/** Milliseconds as people read them, on one line. */
export function inMilliseconds(milliseconds) {
  return `${milliseconds.toFixed(milliseconds < 10 ? 1 : 0)}\u00a0ms`;
}
