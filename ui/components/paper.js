// The paper's comparison: draws `props.value` (chart, claims, tables of `ui.paper.view`). Everything goes in as text.
const section = element.querySelector('.mf-paper');
const find = (selector) => section.querySelector(selector);
const host = find('.mf-paper-plot');
const stage = find('select');
const MARGIN = { l: 58, r: 18, t: 10, b: 46 };
const SIGNS = { agrees: '✓', disagrees: '✗', 'cannot tell': '?', 'not measured': '–' };
const kind = (says) => says.replace(' ', '-');
const touch = window.matchMedia('(hover: none)').matches;
const state = { table: 0, sort: null, down: false, says: '', screened: false, wired: false };

function make(tag, name, parent, text) {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text !== undefined) node.textContent = text;
  parent?.append(node);
  return node;
}

// Chart

function markers(marks, side, style) {
  return {
    mode: 'markers+text', type: 'scatter', cliponaxis: false, x: marks.map((m) => m[side].x), y: marks.map((m) => m[side].y),
    customdata: marks.map((m) => m.id), text: marks.map((m) => (m.mix && side === 'ours' ? m.label : '')), textposition: 'top center',
    textfont: { size: 12, color: token('--mf-text') }, hovertext: marks.map((m) => hover(m, side)), hovertemplate: '%{hovertext}<extra></extra>',
    marker: {
      size: side === 'ours' ? 12 : 10, symbol: marks.map((m) => (m.mix ? 'circle' : m.symbol) + (side === 'paper' ? '-open' : '')),
      color: marks.map((m) => (m.mix || m.colour < 0 ? token('--mf-text') : token(`--mf-method-${m.colour}`))), line: { width: style.line, color: marks.map((m) => (side === 'ours' ? token('--mf-surface') : m.mix || m.colour < 0 ? token('--mf-text') : token(`--mf-method-${m.colour}`))) },
    },
  };
}

const escaped = (text) => make('i', '', null, text).innerHTML;

function hover(mark, side) {
  const lines = [`<b>${escaped(mark.label)}</b> (${escaped(mark.stage.replaceAll('_', ' '))})`];
  if (mark.paper) lines.push(`paper: harm ${mark.paper.x.toFixed(1)} %, wins ${mark.paper.y.toFixed(1)} %`);
  if (mark.words) lines.push(escaped(mark.words));
  else if (side === 'paper') lines.push('not measured here');
  if (mark.says) lines.push(`these models: ${mark.says}`);
  return [...lines, 'click loads it'].join('<br>');
}

function traces(marks) {
  const ours = marks.filter((m) => m.ours);
  const paper = marks.filter((m) => m.paper);
  const both = marks.filter((m) => m.ours && m.paper);
  const gap = (at) => both.flatMap((m) => [m.paper[at], m.ours[at], null]);
  const spans = ours.map((m) => m.ours);
  const colour = token('--mf-interval');
  return [
    { mode: 'lines', type: 'scatter', hoverinfo: 'skip', x: gap('x'), y: gap('y'), line: { color: token('--mf-text-soft'), width: 1, dash: 'dot' } },
    { mode: 'markers', type: 'scatter', hoverinfo: 'skip', x: spans.map((s) => s.x), y: spans.map((s) => s.y), error_x: errorBars(spans, 'x', colour), error_y: errorBars(spans, 'y', colour), marker: { size: 1, color: colour } },
    markers(paper, 'paper', { line: 1.8 }),
    markers(ours, 'ours', { line: 1 }),
  ];
}

function layout(chart) {
  const soft = token('--mf-text-soft');
  const axis = (which) => ({
    title: { text: chart[which].title, font: { size: 12.5, color: soft }, standoff: 6 }, range: chart[which].range, gridcolor: token('--mf-grid'),
    zeroline: false, tickfont: { size: 12, color: soft }, nticks: 7, fixedrange: touch, automargin: false,
  });
  const line = (at) => ({ type: 'line', layer: 'below', line: { color: token('--mf-border-strong'), width: 1.2, dash: 'dash' }, ...at });
  const font = { color: token('--mf-text'), size: 12.5, family: getComputedStyle(section).fontFamily };
  return {
    xaxis: axis('x'), yaxis: axis('y'), margin: MARGIN, showlegend: false, hovermode: 'closest', uirevision: stage.value, font, dragmode: touch ? false : 'zoom',
    paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)',
    hoverlabel: { bgcolor: token('--mf-surface-raised'), bordercolor: token('--mf-border-strong'), font, align: 'left' },
    shapes: [line({ x0: 0, x1: 0, yref: 'paper', y0: 0, y1: 1 }), line({ y0: 50, y1: 50, xref: 'paper', x0: 0, x1: 1 })],
  };
}

function drawChart() {
  const chart = props.value?.chart;
  if (!chart || !window.Plotly || !host.clientWidth) return;
  const marks = chart.marks.filter((m) => !stage.value || m.stage === stage.value);
  window.Plotly.react(host, traces(marks), layout(chart), { displayModeBar: false, responsive: false, doubleClick: 'reset' });
  if (!state.wired) {
    state.wired = true;
    host.on('plotly_click', (event) => pick(event.points[0]?.customdata));
  }
}

function drawBar(chart) {
  const before = stage.value;
  stage.replaceChildren(...chart.stages.map((s) => new Option(s.label, s.key)), ...(chart.stages.length > 1 ? [new Option('all', '')] : []));
  if ([...stage.options].some((option) => option.value === before) && before) stage.value = before;
  const entry = (svg, text) => `<li><svg viewBox="0 0 14 14" width="13" height="13" aria-hidden="true">${svg}</svg>${escaped(text)}</li>`;
  const items = chart.methods.map((m) => entry(`<g fill="${m.colour < 0 ? 'var(--mf-text)' : `var(--mf-method-${m.colour})`}">${SHAPES[m.symbol] ?? SHAPES.circle}</g>`, m.title));
  items.push(entry('<circle cx="7" cy="7" r="4.6" fill="none" stroke="var(--mf-text-soft)" stroke-width="1.8"/>', 'hollow: the paper'));
  items.push(entry('<circle cx="7" cy="7" r="4.6" fill="var(--mf-text-soft)"/>', 'filled: ours'));
  find('.mf-legend').innerHTML = items.join('');
}

// Claims

function drawClaims(value) {
  const head = find('.mf-claims-head');
  head.replaceChildren(...Object.entries(value.counts).map(([says, count]) => {
    const button = make('button', `mf-says mf-${kind(says)}`, null, `${SIGNS[says]} ${says} ${count}`);
    button.type = 'button';
    button.dataset.says = says;
    button.setAttribute('aria-pressed', String(state.says === says));
    return button;
  }));
  const shown = value.claims.filter((claim) => !state.says || claim.says === state.says);
  find('.mf-claims ol').replaceChildren(...shown.map(drawClaim));
}

function drawClaim(claim) {
  const item = make('li');
  make('span', `mf-says mf-${kind(claim.says)}`, item, `${SIGNS[claim.says]} ${claim.says}`);
  make('p', 'mf-claim-paper', item, claim.paper);
  make('p', '', item, claim.words);
  if (claim.why) make('p', 'mf-claim-why', item, claim.why);
  if (claim.tests.length) {
    const tests = make('details', '', item);
    make('summary', '', tests, 'paired tests');
    for (const test of claim.tests) make('p', '', tests, test);
  }
  if (claim.row) loader(claim.row, 'Load in Explore', item);
  return item;
}

function loader(row, words, parent) {
  const button = make('button', 'mf-link', parent, words);
  button.type = 'button';
  button.dataset.pick = row;
  return button;
}

// Tables

function drawTables(value) {
  find('.mf-table-names').replaceChildren(...value.tables.map((table, at) => {
    const button = make('button', '', null, table.title);
    button.type = 'button';
    button.dataset.table = String(at);
    button.setAttribute('aria-pressed', String(at === state.table));
    return button;
  }));
  const table = value.tables[state.table];
  if (!table) return;
  find('.mf-table-question').textContent = [table.question, table.against ? `Δ: against the ${table.against}.` : '', table.note].filter(Boolean).join(' ');
  find('.mf-paper-tables thead tr').replaceChildren(...table.heads.map(drawHead));
  find('.mf-paper-tables tbody').replaceChildren(...sorted(table).map((row) => drawRow(row, table)));
  const more = find('.mf-screened');
  more.hidden = !table.screened;
  more.setAttribute('aria-pressed', String(state.screened));
  more.textContent = state.screened ? 'Hide what was passed over' : `Show what the screening passed over (${table.screened})`;
}

function drawHead(head) {
  const cell = make('th');
  cell.scope = 'col';
  const button = make('button', '', cell, head.label);
  button.type = 'button';
  button.dataset.sort = head.key;
  if (state.sort === head.key) { cell.setAttribute('aria-sort', state.down ? 'descending' : 'ascending'); button.dataset.down = String(state.down); }
  return cell;
}

function sorted(table) {
  const rows = table.rows.filter((row) => state.screened || row.state !== 'screened');
  if (!state.sort) return rows;
  const key = (row) => row.cells[state.sort]?.sort ?? null;
  const known = rows.filter((row) => key(row) !== null);
  known.sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0) * (state.down ? -1 : 1));
  return [...known, ...rows.filter((row) => key(row) === null)];
}

function drawRow(row, table) {
  const line = make('tr', `mf-state-${kind(row.state)}`);
  for (const head of table.heads) {
    const cell = make(head.key === 'label' ? 'th' : 'td', '', line);
    const shown = row.cells[head.key] ?? { text: '–' };
    if (head.key === 'label') {
      cell.scope = 'row';
      loader(row.id, shown.text, cell).title = 'Load in Explore';
      make('small', '', cell, [row.stage, row.state === 'measured' ? '' : row.state, row.note].filter(Boolean).join(' · '));
    } else if (head.key === 'says') {
      if (shown.text) make('span', `mf-says mf-${kind(shown.text)}`, cell, `${SIGNS[shown.text]} ${shown.text}`);
    } else {
      make('span', shown.word ? `mf-${kind(shown.word)}` : '', cell, shown.text);
      if (shown.word && shown.word !== 'cannot tell') make('small', `mf-${shown.word}`, cell, shown.word);
      if (shown.paper) make('small', '', cell, `paper ${shown.paper}`);
      if (shown.title) cell.title = shown.title;
    }
  }
  return line;
}

function pick(row) { if (row) trigger('pick', { row }); }

function draw() {
  const value = props.value;
  if (!value) return;
  section.classList.toggle('mf-nothing', !value.chart);
  find('.mf-paper-empty').textContent = value.message;
  if (!value.chart) return;
  find('.mf-paper-answer span').textContent = value.answer.words;
  find('.mf-paper-answer button').dataset.pick = value.answer.row;
  find('.mf-paper-answer button').hidden = !value.answer.row;
  find('.mf-paper-family').textContent = `${value.family}. Measured by ${value.measured}. A click on a point or a name loads the recipe in Explore.`;
  drawBar(value.chart);
  drawClaims(value);
  drawTables(value);
  drawChart();
}

section.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (!button) return;
  const { says, table, sort } = button.dataset;
  if (button.dataset.pick) { pick(button.dataset.pick); return; }
  if (says) state.says = state.says === says ? '' : says;
  else if (table) { state.table = Number(table); state.sort = null; }
  else if (sort) { state.down = state.sort === sort ? !state.down : false; state.sort = sort; }
  else if (button.classList.contains('mf-screened')) state.screened = !state.screened;
  if (says) drawClaims(props.value); else drawTables(props.value);
  const again = says ? `.mf-claims-head [data-says="${says}"]` : table ? `[data-table="${table}"]` : sort ? `[data-sort="${sort}"]` : '';
  if (again) find(again)?.focus();
});
stage.addEventListener('change', drawChart);

watch('value', draw);
new ResizeObserver(() => { if (host.clientWidth && window.Plotly) { if (state.wired) window.Plotly.Plots.resize(host); drawChart(); } }).observe(host);
new MutationObserver(drawChart).observe(document.body, { attributes: true, attributeFilter: ['class'] });
draw();
loadPlotly().then(drawChart, (error) => { host.textContent = `The chart is not available (${error.message}); the tables below hold the same figures.`; });
