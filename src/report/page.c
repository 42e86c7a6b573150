/* SPDX-License-Identifier: MIT
 * What every page of brume begins and ends with. */
#include "report/page.h"

static const char style[] =
    ":root{color-scheme:light "
    "dark;--ground:#fafafa;--card:#fff;--ink:#1c2026;--quiet:#667080;--rule:#e3e6ea;--c1:#2563c9;--c2:#c8571b;--c3:#2f8a4c;--c4:#"
    "8a4fb8}\n"
    "@media(prefers-color-scheme:dark){:root{--ground:#14171b;--card:#1c2026;--ink:#e4e7eb;--quiet:#98a2b0;--rule:#303640;--c1:#"
    "7fb0ff;--c2:#f2a065;--c3:#77cf93;--c4:#c99af0}}\n"
    "*{box-sizing:border-box}body{margin:0;background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,sans-serif}\n"
    "main{max-width:1120px;margin:0 auto;padding:20px 16px "
    "48px}h1{font-size:1.5rem;margin:0;overflow-wrap:anywhere}h2{font-size:1.1rem;margin:32px 0 10px}\n"
    ".sub{color:var(--quiet);margin:2px 0 "
    "18px;overflow-wrap:anywhere}.tiles{display:grid;gap:10px;grid-template-columns:repeat(auto-fit,minmax(130px,1fr))}\n"
    ".tile,figure,.box{background:var(--card);border:1px solid var(--rule);border-radius:10px}.tile{padding:10px 14px}.tile "
    "b{display:block;font-size:1.25rem;font-variant-numeric:tabular-nums}\n"
    ".tile span,.unit,.none,figcaption span{color:var(--quiet);font-size:.85rem}figure{margin:0;padding:12px "
    "14px}.charts{display:grid;gap:12px;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr))}\n"
    ".chart{position:relative}.chart svg{display:block;width:100%;height:auto;touch-action:pan-y}.chart "
    "text{font-size:12px;fill:var(--quiet);"
    "font-variant-numeric:tabular-nums}.grid{stroke:var(--rule)}.cursor{stroke:var(--quiet);stroke-dasharray:3 "
    "3;visibility:hidden}\n"
    ".line{fill:none;stroke-width:1.8;stroke-linejoin:round}.band{opacity:.16}"
    ".line.c1{stroke:var(--c1)}.line.c2{stroke:var(--c2)}.line.c3{stroke:var(--c3)}.line.c4{stroke:var(--c4)}"
    ".band.c1,.dot.c1{fill:var(--c1)}.band.c2,.dot.c2{fill:var(--c2)}.band.c3,.dot.c3{fill:var(--c3)}.band.c4,.dot.c4{fill:var(--"
    "c4)}\n"
    ".key::before{content:'';display:inline-block;width:10px;height:10px;border-radius:3px;margin:0 5px 0 "
    "8px;background:currentColor}figcaption .key.c1{color:var(--c1)}figcaption .key.c2{color:var(--c2)}figcaption "
    ".key.c3{color:var(--c3)}figcaption .key.c4{color:var(--c4)}\n"
    ".chart output{position:absolute;top:38px;right:26px;font-size:.8rem;background:var(--card);padding:0 "
    "6px;border-radius:6px;pointer-events:none;font-variant-numeric:tabular-nums}\n"
    ".pictures{display:grid;gap:12px;grid-template-columns:repeat(auto-fill,minmax(min(100%,240px),1fr))}.pictures.wide{grid-"
    "template-columns:1fr}\n"
    "figure img{display:block;max-width:100%;height:auto;margin:0 auto;image-rendering:pixelated;border-radius:4px}.pictures "
    "figcaption{padding-top:6px;font-size:.85rem;color:var(--quiet)}\n"
    ".box{padding:4px 14px;overflow-x:auto}table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:6px 14px 6px "
    "0;border-bottom:1px solid var(--rule);"
    "vertical-align:top}tr:last-child>*{border-bottom:0}th{font-weight:500;color:var(--quiet);white-space:nowrap;width:1%}"
    "td{overflow-wrap:anywhere;font-variant-numeric:tabular-nums}pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:8px 0}\n"
    "footer{color:var(--quiet);font-size:.85rem;margin-top:32px}\n";

/* A pointer over a chart shows the step and the value of every line there. The page says the same without it. */
static const char script[] =
    "for(const f of document.querySelectorAll('.chart')){const "
    "s=f.querySelector('svg');if(!s)continue;const[lo,hi,left,right]=s.dataset.range.split(' ').map(Number),"
    "o=f.querySelector('output'),c=s.querySelector('.cursor'),L=[...s.querySelectorAll('.line')].map(p=>({n:p.dataset.name,"
    "d:p.dataset.points.split(',').map(t=>t.split(' ').map(Number))}));const "
    "hide=()=>{o.textContent='';c.style.visibility='hidden'};s.addEventListener('pointerleave',hide);s.addEventListener('"
    "pointermove',e=>{const r=s.getBoundingClientRect(),u=(e.clientX-r.left)*640/r.width,x=lo+(hi-lo)*(u-left)/(right-left);let "
    "at=null;const t=L.map(l=>{const "
    "q=l.d.reduce((a,b)=>Math.abs(b[0]-x)<Math.abs(a[0]-x)?b:a);if(at===null)at=q[0];return(L.length>1?l.n+' ':'')+q[1]});"
    "if(at===null)return hide();const "
    "v=left+(right-left)*(at-lo)/(hi-lo);c.setAttribute('x1',v);c.setAttribute('x2',v);c.style.visibility='visible';"
    "o.textContent='step '+at.toLocaleString()+': '+t.join(', ')})}";

void page_begin(struct html *h, const char *title, int refresh)
{
    html_add(h, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
                "content=\"width=device-width, initial-scale=1\">\n");
    if (refresh > 0) html_add(h, "<meta http-equiv=\"refresh\" content=\"%d\">\n", refresh);
    html_add(h, "<title>");
    html_text(h, title);
    html_add(h, "</title>\n<style>%s</style></head>\n<body><main>\n", style);
}

void page_end(struct html *h) { html_add(h, "</main>\n<script>%s</script></body></html>\n", script); }
