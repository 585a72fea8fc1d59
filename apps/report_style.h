#pragma once
// The style sheet of the report: light and dark by the reader's setting, one column on a phone.

namespace tern::report {

inline constexpr const char* kStyle = R"css(
:root{color-scheme:light dark;--page:#f6f5f1;--card:#fffefb;--ink:#1d2329;--soft:#5b646d;--line:#e2dfd7;
--grid:#ebe8e1;
--main:#1565a8;--same:#12808a;--different:#d9622b;--grey:#8b8f98;--light:#a48ac4;--good:#1d8a52;
--bad:#c23a3a}
@media (prefers-color-scheme:dark){:root{--page:#14171b;--card:#1c2126;--ink:#e8eaec;--soft:#a0a9b2;
--line:#2e353c;
--grid:#2a3037;--main:#5fb0f2;--same:#3fc1c0;--different:#ff9a62;--grey:#8d949c;--light:#bda3e6;
--good:#58c98b;--bad:#f07b74}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",
Roboto,"Helvetica Neue",
Arial,sans-serif;-webkit-text-size-adjust:100%}
main{max-width:1180px;margin:0 auto;padding:40px 24px 64px}
h1{font-size:clamp(30px,5vw,46px);line-height:1.1;letter-spacing:-.02em;margin:0 0 10px}
h2{font-size:22px;letter-spacing:-.01em;margin:52px 0 16px}
h3{font-size:15px;margin:0 0 10px;font-weight:650}
p.lead{font-size:18px;color:var(--soft);max-width:68ch;margin:0 0 28px}
.tiles{display:grid;grid-template-columns:repeat(4,1fr);gap:14px;margin:0}
.tile{background:var(--card);border:1px solid var(--line);border-radius:14px;padding:16px 18px}
.tile b{display:block;font-size:clamp(24px,3.4vw,34px);line-height:1.15;font-weight:680;
letter-spacing:-.02em;
font-variant-numeric:tabular-nums}
.tile span{color:var(--soft);font-size:13.5px;line-height:1.35;display:block;margin-top:3px}
.two{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:18px}
figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:14px;
padding:18px 18px 14px;min-width:0}
figure+figure.wide,.two+figure.wide{margin-top:18px}
figcaption{color:var(--soft);font-size:13.5px;line-height:1.45;margin-top:10px}
figure>svg{display:block;width:100%;height:auto}
.legend{display:flex;flex-wrap:wrap;gap:4px 16px;font-size:13px;color:var(--soft);margin:0 0 6px;
min-height:20px}
.legend span{display:inline-flex;align-items:center;gap:7px}
.swatch{display:inline-block;width:16px;height:0;border-top:3px solid currentColor;border-radius:2px}
.swatch.dashed{border-top-style:dashed}.swatch.faint{border-top-width:1px;opacity:.6}
.grid{stroke:var(--grid)}.axis{stroke:var(--grey);stroke-width:1}
text{font:12.5px system-ui,-apple-system,"Segoe UI",Roboto,Arial,sans-serif;fill:var(--soft)}
.tick{font-variant-numeric:tabular-nums}.note{fill:var(--ink);font-weight:600;paint-order:stroke;
stroke:var(--card);
stroke-width:4px;stroke-linejoin:round}
.line{fill:none;stroke:currentColor;stroke-width:2.2;stroke-linejoin:round;stroke-linecap:round}
.line.faint{stroke-width:1;opacity:.35}.line.dashed{stroke-dasharray:5 5;stroke-linecap:butt}
.area{fill:currentColor;opacity:.2;stroke:none}.mark{stroke:var(--ink);stroke-width:1.4;
stroke-dasharray:4 4}
.dot{fill:currentColor;stroke:var(--card);stroke-width:2}
.c-main{color:var(--main)}.c-same{color:var(--same)}.c-different{color:var(--different)}
.c-grey{color:var(--grey)}
.c-light{color:var(--light)}
table{width:100%;border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:15px}
th,td{padding:9px 10px;text-align:right;border-bottom:1px solid var(--line)}
th{color:var(--soft);font-weight:600;font-size:13px;vertical-align:bottom;line-height:1.25}
th:first-child,td:first-child{text-align:left;padding-left:2px}
tr:last-child td{border-bottom:0}tr.best td{font-weight:680}
td .bar{display:block;height:4px;border-radius:2px;background:var(--grey);margin-top:5px}
tr.best td .bar{background:var(--main)}
.pairs{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:14px}
.pair{min-width:0}
.pair .photos{display:grid;grid-template-columns:1fr 1fr;gap:3px;border-radius:10px;overflow:hidden}
img{display:block;width:100%;height:auto;aspect-ratio:1;object-fit:cover;background:var(--grid)}
.scale{position:relative;height:6px;border-radius:3px;background:var(--grid);margin:8px 0 5px}
.scale i{position:absolute;left:0;top:0;bottom:0;border-radius:3px;background:currentColor}
.scale u{position:absolute;top:-3px;bottom:-3px;width:2px;background:var(--ink)}
.pair p{margin:0;font-size:13px;line-height:1.3;color:var(--soft)}
.pair p b{color:var(--ink);font-weight:620;font-variant-numeric:tabular-nums}
.people{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:14px 22px}
.person .strip{display:grid;grid-auto-flow:column;grid-auto-columns:1fr;gap:3px;border-radius:10px;
overflow:hidden}
.person p{margin:0 0 4px;font-size:12.5px;color:var(--soft);font-variant-numeric:tabular-nums}
dl{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:0 34px;margin:0}
dl div{display:flex;justify-content:space-between;gap:16px;padding:7px 0;
border-bottom:1px solid var(--line);font-size:14px}
dt{color:var(--soft);flex:none}dd{margin:0;text-align:right;overflow-wrap:anywhere;
font-variant-numeric:tabular-nums}
footer{color:var(--soft);font-size:13px;margin-top:40px}
@media (max-width:760px){main{padding:26px 14px 44px}.tiles{grid-template-columns:1fr 1fr;gap:10px}
.tile{padding:13px 14px}
.two,.people,dl{grid-template-columns:minmax(0,1fr)}h2{margin-top:38px}figure{padding:14px 12px 12px}
p.lead{font-size:16.5px}
table{font-size:12.5px}th,td{padding:7px 3px}th{font-size:11px}.pairs{grid-template-columns:1fr 1fr;
gap:12px}}
@media print{body{background:#fff}figure,.tile{break-inside:avoid}}
)css";

}  // namespace tern::report
