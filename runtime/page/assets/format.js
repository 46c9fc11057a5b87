// Numbers and times for people.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export const count = (value) => (value === null || value === undefined ? "–" : whole.format(value));

export const score = (value) => (value === null ? "none" : value.toFixed(4));

export const percent = (part, all) => (all > 0 ? `${(100 * part / all).toFixed(part && part / all < 0.1 ? 2 : 1)} %` : "");

export const milliseconds = (value) => (value === null ? "n/a" : `${value.toFixed(value < 100 ? 1 : 0)} ms`);

export const perSecond = (value) => (value === null ? "–" : `${value.toFixed(value < 100 ? 1 : 0)} /s`);

// The time of day, with the date if it is another day.
export function clock(seconds) {
  const moment = new Date(1000 * seconds);
  const time = moment.toLocaleTimeString([], { hourCycle: "h23" });
  if (moment.toDateString() === new Date().toDateString()) return time;
  return `${moment.toLocaleDateString([], { day: "numeric", month: "short" })}, ${time}`;
}

export function duration(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  const two = (value) => String(value).padStart(2, "0");
  const days = Math.floor(s / 86400);
  const rest = `${two(Math.floor(s / 3600) % 24)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
  return days > 0 ? `${days} d ${rest}` : rest;
}

export const age = (seconds) => (seconds === null ? "none yet" : seconds < 60 ? `${seconds.toFixed(1)} s ago` : `${duration(seconds)} ago`);

export const WORDS = { good: "Good", suspect: "Suspect", anomalous: "Anomalous", unreliable: "Unreliable" };

// The score of an image against its threshold; of a suspect one between its two thresholds.
export function verdict(caption) {
  if (caption.score === null) return "";
  const above = caption.score > caption.threshold;
  const lower = caption.status === "suspect" ? `${score(caption.suspect_threshold)} < ` : "";
  const gated = caption.gated ? ", no region is large enough" : "";
  return `${above ? "" : lower}${score(caption.score)} ${above ? ">" : "≤"} ${score(caption.threshold)}${gated}`;
}

// What is shown only where a part can be suspect.
export const showBand = (suspect) => { document.body.dataset.band = String(suspect !== undefined); };
