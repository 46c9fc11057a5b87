"""The report's style sheet: light, dark, a phone's width, and paper."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #ffffff; --panel: #f6f7f9; --ink: #1b2430; --soft: #5b6675; --rule: #d9dee5;
  --good: #2a6fbb; --bad: #c8501e; --held: #7a8594; --third: #2b8a6e; --alarm: #b3261e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14181d; --panel: #1d232a; --ink: #e7ebf0; --soft: #a0abb8; --rule: #36404b;
    --good: #6aa9ea; --bad: #f08a58; --held: #98a3b1; --third: #5fc3a3; --alarm: #ff8a80;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.5rem clamp(0.8rem, 3vw, 2rem) 3rem; max-width: 68rem;
  background: var(--page); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
h1 { margin: 0; font-size: 1.7rem; line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin: 2.2rem 0 0.6rem; font-size: 1.15rem; }
p { margin: 0.4rem 0; max-width: 46rem; }
.soft, figcaption span { color: var(--soft); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: 0.8rem;
  margin: 1.2rem 0; }
.card, .chart { background: var(--panel); border: 1px solid var(--rule); border-radius: 0.5rem; }
.card { padding: 0.7rem 0.9rem; }
.card b { display: block; font-size: 1.6rem; line-height: 1.3; font-variant-numeric: tabular-nums; }
.card span { display: block; color: var(--soft); font-size: 0.85rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.92rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.28rem 0.7rem; border-bottom: 1px solid var(--rule); text-align: right;
  white-space: nowrap; }
th:first-child { text-align: left; padding-left: 0; }
tbody th { font-weight: 400; }
thead th { color: var(--soft); font-weight: 600; }
tr.strong th, tr.strong td { font-weight: 600; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); gap: 1rem; }
.chart { margin: 0; padding: 0.6rem; }
.wide { grid-column: 1 / -1; }
.narrow { display: none; }
@media (max-width: 40rem) { .narrow { display: block; } .broad { display: none; } }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--ink); font-size: 12px; font-family: inherit; }
svg .key { paint-order: stroke; stroke: var(--panel); stroke-width: 3px; stroke-linejoin: round; }
svg .tick { fill: var(--soft); font-size: 11px; }
svg .axis { fill: var(--soft); }
svg .grid { stroke: var(--rule); stroke-width: 0.7; }
svg .base { stroke: var(--soft); stroke-width: 0.8; }
svg .chance { stroke: var(--soft); stroke-width: 0.8; stroke-dasharray: 3 4; }
svg .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
svg .first { stroke: var(--bad); } svg .second { stroke: var(--good); } svg .third { stroke: var(--third); }
svg .mark { fill: var(--page); stroke: var(--ink); stroke-width: 2; }
svg .threshold { stroke: var(--ink); stroke-width: 1.4; stroke-dasharray: 5 3; }
svg .good { fill: var(--good); } svg .bad { fill: var(--bad); } svg .held { fill: var(--held); }
.cases { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(19rem, 100%), 1fr));
  gap: 0.9rem; }
.thumbs { grid-template-columns: repeat(auto-fill, minmax(8rem, 1fr)); }
figure { margin: 0; }
.cases img { display: block; width: 100%; height: auto; border-radius: 0.3rem; }
figcaption { margin-top: 0.25rem; font-size: 0.85rem; line-height: 1.35; overflow-wrap: anywhere; }
figcaption b, figcaption span { display: block; }
.wrong figcaption span { color: var(--alarm); }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(17rem, 100%), 1fr));
  gap: 0 1.6rem; margin: 0.4rem 0; font-size: 0.88rem; }
.facts div { display: flex; justify-content: space-between; gap: 0.8rem; padding: 0.15rem 0;
  border-bottom: 1px solid var(--rule); }
dt { color: var(--soft); }
dd { margin: 0; text-align: right; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
a { color: var(--good); }
ul.plain { margin: 0.3rem 0; padding-left: 1.1rem; font-size: 0.88rem; overflow-wrap: anywhere; }
@media print {
  :root { --page: #fff; --panel: #fff; --ink: #000; --soft: #444; --rule: #bbb; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  h2 { break-after: avoid; }
  .card, .chart, figure, tr, .facts div { break-inside: avoid; }
  .cases { grid-template-columns: repeat(3, 1fr); }
  .charts { grid-template-columns: repeat(2, 1fr); }
  .scroll { overflow: visible; }
  .narrow { display: none; } .broad { display: block; }
}
"""
