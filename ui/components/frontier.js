// The frontier chart: draws `props.value` (points, frontier, axes) and `props.star` (the visitor's merge) with Plotly.
// Runs once per page inside gr.HTML, which hands it `element`, `props`, `trigger` and `watch`. The plot's div is kept
// for the life of the page, so zoom and focus survive every update.
const section = element.querySelector('.mf-chart');
const host = section.querySelector('.mf-plot');
const hint = section.querySelector('.mf-hint');
const legend = section.querySelector('.mf-legend');
const list = section.querySelector('.mf-list');
const dominated = section.querySelector('.mf-dominated');
const [xSelect, ySelect] = section.querySelectorAll('.mf-axes select');
const MARGIN = { l: 58, r: 22, t: 12, b: 46 };
const touch = window.matchMedia('(hover: none)').matches;
const state = { wired: false, dominated: true, focus: null, hovered: null, order: [] };

// Intervals lie below everything, so that they never hide the frontier.
function intervalTrace(points) {
  const colour = token('--mf-interval');
  return {
    mode: 'markers', type: 'scatter', hoverinfo: 'skip', x: points.map((p) => p.x), y: points.map((p) => p.y),
    error_x: errorBars(points, 'x', colour), error_y: errorBars(points, 'y', colour), marker: { size: 1, color: colour },
  };
}

function markerTrace(points, style) {
  return {
    mode: 'markers', type: 'scatter', cliponaxis: false,
    x: points.map((p) => p.x), y: points.map((p) => p.y), customdata: points.map((p) => p.id),
    text: points.map((p) => p.hover), hovertemplate: '%{text}<extra></extra>',
    marker: {
      size: points.map((p) => (p.faded ? 9 : style.size ?? 12)),
      symbol: points.map((p) => style.symbol + (p.hollow ? '-open' : '')),
      color: style.fill ?? style.colour, opacity: points.map((p) => (p.faded ? 0.38 : 1)),
      line: { color: points.map((p) => (p.hollow || style.ring ? style.colour : token('--mf-surface'))), width: points.map((p) => (style.ring ? 2.6 : p.hollow ? 2 : 1)) },
    },
  };
}

function traces(value, star) {
  const shown = value.points.filter((p) => state.dominated || !p.faded);
  const result = [intervalTrace(shown.filter((p) => p.bars || p.id === state.hovered))];
  if (value.frontier.length > 1) {
    result.push({
      mode: 'lines', type: 'scatter', hoverinfo: 'skip', x: value.frontier.map((p) => p[0]), y: value.frontier.map((p) => p[1]),
      line: { shape: value.shape, color: token('--mf-accent'), width: 2 },
    });
  }
  if (value.path.length > 1) {
    result.push({
      mode: 'lines', type: 'scatter', hoverinfo: 'skip', x: value.path.map((p) => p[0]), y: value.path.map((p) => p[1]),
      line: { color: token('--mf-text-soft'), width: 1.6, dash: 'dot' },
    });
  }
  for (const method of value.methods) {
    const points = shown.filter((p) => p.method === method.name && !p.landmark);
    result.push(markerTrace(points, { symbol: method.symbol, colour: token(`--mf-method-${method.colour}`) }));
  }
  const landmarks = shown.filter((p) => p.landmark);
  result.push(markerTrace(landmarks, { symbol: 'circle', colour: token('--mf-text'), fill: token('--mf-surface'), ring: true, size: 13 }));
  if (star) {
    result.push({
      mode: 'markers', type: 'scatter', x: [star.x], y: [star.y], customdata: [star.id ?? ''], text: [star.hover],
      hovertemplate: '%{text}<extra></extra>', cliponaxis: false,
      marker: { symbol: 'star', size: 20, color: token('--mf-accent'), line: { color: token('--mf-surface'), width: 1.5 } },
    });
  }
  return result;
}

function ellipse(star) {
  if (!star || star.measured || !known(star.rx)) return [];
  return [{
    type: 'circle', layer: 'below', x0: star.x - star.rx, x1: star.x + star.rx, y0: star.y - star.ry, y1: star.y + star.ry,
    fillcolor: token('--mf-halo'), line: { color: token('--mf-halo-edge'), width: 1, dash: 'dot' },
  }];
}

// Labels are placed in pixels: each takes the place beside its point that covers least of the others.
function labels(value, star, ranges) {
  const width = host.clientWidth - MARGIN.l - MARGIN.r;
  const height = host.clientHeight - MARGIN.t - MARGIN.b;
  const px = (x) => ((x - ranges.x[0]) / (ranges.x[1] - ranges.x[0])) * width;
  const py = (y) => (1 - (y - ranges.y[0]) / (ranges.y[1] - ranges.y[0])) * height;
  const wanted = value.points.filter((p) => p.landmark).map((p) => ({ x: p.x, y: p.y, text: p.landmark, colour: token('--mf-text') }));
  if (star) wanted.unshift({ x: star.x, y: star.y, text: star.label, colour: token('--mf-accent-text'), bold: true });
  const taken = value.points.filter((p) => state.dominated || !p.faded).map((p) => ({ l: px(p.x) - 8, r: px(p.x) + 8, t: py(p.y) - 8, b: py(p.y) + 8, weight: 3 }));
  for (const p of value.points.filter((p) => p.bars)) {
    taken.push({ l: px(p.xlo ?? p.x), r: px(p.xhi ?? p.x), t: py(p.y) - 1, b: py(p.y) + 1, weight: 1 });
    taken.push({ l: px(p.x) - 1, r: px(p.x) + 1, t: py(p.yhi ?? p.y), b: py(p.ylo ?? p.y), weight: 1 });
  }
  const line = value.frontier.map(([x, y]) => [px(x), py(y)]);
  for (let i = 1; i < line.length; i++) {
    const [[x0, y0], [x1, y1]] = [line[i - 1], line[i]];
    const [level, upright] = value.shape === 'hv' ? [y0, x1] : [y1, x0];
    taken.push({ l: Math.min(x0, x1), r: Math.max(x0, x1), t: level - 2, b: level + 2, weight: 2 });
    taken.push({ l: upright - 2, r: upright + 2, t: Math.min(y0, y1), b: Math.max(y0, y1), weight: 2 });
  }
  if (star) taken.push({ l: px(star.x) - 11, r: px(star.x) + 11, t: py(star.y) - 11, b: py(star.y) + 11, weight: 3 });
  const overlap = (a, b) => Math.max(0, Math.min(a.r, b.r) - Math.max(a.l, b.l)) * Math.max(0, Math.min(a.b, b.b) - Math.max(a.t, b.t)) * (b.weight ?? 4);
  return wanted.map((label) => {
    const w = label.text.length * (label.bold ? 7.4 : 6.9) + 4;
    const [cx, cy] = [px(label.x), py(label.y)];
    const places = [];
    for (const dy of [-14, 14, 0, -30, 30, -46, 46]) {
      for (const dx of [w / 2 + 10, -w / 2 - 10, 0]) {
        if (dx === 0 && Math.abs(dy) < 20) { if (dy === 0) continue; }
        const box = { l: cx + dx - w / 2, r: cx + dx + w / 2, t: cy + dy - 9, b: cy + dy + 9 };
        const outside = Math.max(0, -box.l) + Math.max(0, box.r - width - 16) + Math.max(0, -box.t) + Math.max(0, box.b - height);
        const cost = taken.reduce((sum, other) => sum + overlap(box, other), 0) + outside * 200 + Math.hypot(dx, dy * 2) * 0.3;
        places.push({ box, dx, dy, cost });
      }
    }
    const best = places.reduce((a, b) => (b.cost < a.cost ? b : a));
    taken.push({ ...best.box, weight: 6 });
    return {
      x: label.x, y: label.y, xshift: best.dx, yshift: -best.dy, text: label.bold ? `<b>${label.text}</b>` : label.text,
      showarrow: false, font: { color: label.colour, size: 12.5 }, captureevents: false,
    };
  });
}

function layout(value, star) {
  const full = host._fullLayout;
  const ranges = {
    x: full?.xaxis && state.zoomed ? full.xaxis.range.slice() : value.axes.x.range,
    y: full?.yaxis && state.zoomed ? full.yaxis.range.slice() : value.axes.y.range,
  };
  const grid = token('--mf-grid');
  const soft = token('--mf-text-soft');
  const axis = (which) => ({
    title: { text: value.axes[which].title, font: { size: 13, color: soft }, standoff: which === 'x' ? 8 : 6 },
    range: ranges[which], gridcolor: grid, zeroline: false, tickfont: { size: 12, color: soft }, nticks: 7, tickformat: value.axes[which].format,
    fixedrange: touch, automargin: false,
  });
  return {
    xaxis: axis('x'), yaxis: axis('y'), margin: MARGIN, showlegend: false, uirevision: value.revision, hovermode: 'closest', hoverdistance: 14,
    paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)', dragmode: touch ? false : 'zoom',
    font: { family: getComputedStyle(section).fontFamily, color: token('--mf-text') },
    hoverlabel: { bgcolor: token('--mf-surface-raised'), bordercolor: token('--mf-border-strong'), font: { color: token('--mf-text'), size: 12.5, family: getComputedStyle(section).fontFamily }, align: 'left' },
    shapes: ellipse(star), annotations: labels(value, star, ranges),
  };
}

function drawLegend(value) {
  const entry = (svg, text) => `<li><svg viewBox="0 0 14 14" width="13" height="13" aria-hidden="true">${svg}</svg>${text}</li>`;
  const used = new Set(value.points.filter((p) => !p.landmark).map((p) => p.method));
  const items = value.methods.filter((m) => used.has(m.name))
    .map((m) => entry(`<g fill="var(--mf-method-${m.colour})">${SHAPES[m.symbol] ?? SHAPES.circle}</g>`, m.title));
  if (value.points.some((p) => p.landmark)) items.push(entry('<circle cx="7" cy="7" r="4.6" fill="var(--mf-surface)" stroke="var(--mf-text)" stroke-width="2.2"/>', 'landmark'));
  if (value.points.some((p) => p.hollow)) items.push(entry('<circle cx="7" cy="7" r="4.8" fill="none" stroke="var(--mf-text-soft)" stroke-width="1.8"/>', 'hollow: invalid &gt; .20'));
  if (value.frontier.length > 1) items.push(entry('<path d="M0 7h14" stroke="var(--mf-accent)" stroke-width="2.4"/>', 'frontier'));
  if (value.path.length > 1) items.push(entry('<path d="M0 7h14" stroke="var(--mf-text-soft)" stroke-width="2" stroke-dasharray="2 2.4"/>', 'trace'));
  legend.innerHTML = items.join('');
}

function drawSelects(value) {
  for (const [select, which] of [[xSelect, 'x'], [ySelect, 'y']]) {
    if (select.options.length !== value.choices.length) {
      select.replaceChildren(...value.choices.map((c) => new Option(c.label, c.key)));
    }
    select.value = value.axes[which].key;
  }
}

function drawList(value) {
  const rows = value.points.slice().sort((a, b) => a.x - b.x);
  list.querySelector('ol').replaceChildren(...rows.map((p) => {
    const item = document.createElement('li');
    const button = document.createElement('button');
    button.type = 'button';
    button.dataset.id = p.id;
    if (p.id === value.selected) button.setAttribute('aria-current', 'true');
    const name = document.createElement('span');
    name.textContent = p.name;
    const figures = document.createElement('small');
    figures.textContent = p.summary;
    button.append(name, figures);
    item.append(button);
    return item;
  }));
  list.querySelector('summary span').textContent = String(rows.length);
}

function draw() {
  const value = props.value;
  if (!value || !window.Plotly) return;
  const star = props.star?.label ? props.star : null;
  hint.textContent = value.points.length ? star?.hint ?? '' : value.empty;
  hint.classList.toggle('mf-hint-empty', !value.points.length);
  const config = { displayModeBar: false, responsive: false, doubleClick: 'reset' };
  window.Plotly.react(host, traces(value, star), layout(value, star), config);
  state.order = value.points.slice().sort((a, b) => a.x - b.x).map((p) => p.id);
  if (!state.wired) wire();
}

function drawAll() {
  if (!props.value) return;
  drawLegend(props.value);
  drawSelects(props.value);
  drawList(props.value);
  draw();
}

const pick = (id) => { if (id) trigger('pick', { id }); };

function wire() {
  state.wired = true;
  host.on('plotly_click', (event) => pick(event.points[0]?.customdata));
  host.on('plotly_hover', (event) => {
    const id = event.points[0]?.customdata;
    const point = props.value.points.find((p) => p.id === id);
    if (point?.faded && state.hovered !== id) { state.hovered = id; draw(); }
    host.classList.add('mf-over');
  });
  host.on('plotly_unhover', () => {
    host.classList.remove('mf-over');
    if (state.hovered) { state.hovered = null; requestAnimationFrame(draw); }
  });
  host.on('plotly_relayout', (change) => {
    const reset = change['xaxis.autorange'] || change['xaxis.range'] || (known(change['xaxis.range[0]']) && change['xaxis.range[0]'] === props.value.axes.x.range[0]);
    if (known(change['xaxis.range[0]']) || known(change['yaxis.range[0]']) || reset) {
      state.zoomed = !reset;
      requestAnimationFrame(draw);
    }
  });
}

function focusPoint(step) {
  const shown = state.order;
  if (!shown.length) return;
  const at = shown.indexOf(state.focus ?? props.value.selected);
  const next = step === 'first' ? 0 : step === 'last' ? shown.length - 1 : Math.min(shown.length - 1, Math.max(0, at + step));
  state.focus = shown[next];
  const curve = host.data.findIndex((t) => t.customdata?.includes(state.focus) && t.hovertemplate);
  if (curve < 0) return;
  window.Plotly.Fx.hover(host, [{ curveNumber: curve, pointNumber: host.data[curve].customdata.indexOf(state.focus) }]);
  const point = props.value.points.find((p) => p.id === state.focus);
  section.querySelector('.mf-live').textContent = `${point.name}: ${point.summary}. Enter loads it.`;
}

host.addEventListener('keydown', (event) => {
  const moves = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: 'first', End: 'last' };
  if (event.key in moves) { event.preventDefault(); focusPoint(moves[event.key]); }
  if ((event.key === 'Enter' || event.key === ' ') && state.focus) { event.preventDefault(); pick(state.focus); }
});
list.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-id]');
  if (button) { pick(button.dataset.id); list.open = false; list.querySelector('summary').focus(); }
});
list.addEventListener('keydown', (event) => { if (event.key === 'Escape') { list.open = false; list.querySelector('summary').focus(); } });
document.addEventListener('click', (event) => { if (list.open && !list.contains(event.target)) list.open = false; });
for (const select of [xSelect, ySelect]) select.addEventListener('change', () => trigger('axes', { x: xSelect.value, y: ySelect.value }));
dominated.addEventListener('click', () => {
  state.dominated = !state.dominated;
  dominated.setAttribute('aria-pressed', String(state.dominated));
  draw();
});

watch('value', drawAll);
watch('star', draw);
new ResizeObserver(() => { if (state.wired && host.clientWidth) { window.Plotly.Plots.resize(host); draw(); } }).observe(host);
new MutationObserver(draw).observe(document.body, { attributes: true, attributeFilter: ['class'] });
loadPlotly().then(drawAll, (error) => { hint.textContent = `The chart is not available (${error.message}); the list of points still works.`; drawLegend(props.value); drawSelects(props.value); drawList(props.value); });
