// The layer curve: five upright native sliders a row (keyboard, touch and screen readers come with them) over an SVG
// with the line through the anchors and one dot for what each layer really gets, as the server says.
// Runs once inside gr.HTML, which hands it `element`, `props`, `trigger` and `watch`.
const section = element.querySelector('.mf-bands');
const rowsHost = section.querySelector('.mf-bands-rows');
const THUMB = 14, HEIGHT = 64; // px
const state = { down: false, flying: 0, waiting: false, rows: [] };
const SVG = 'http://www.w3.org/2000/svg';

const share = (value) => { const { lo, hi } = props.value; return hi > lo ? (value - lo) / (hi - lo) : 0.5; };
const up = (value) => THUMB / 2 + (1 - share(value)) * (HEIGHT - THUMB);
const words = (value) => Number(value.toFixed(3)).toString();

// A pointer moves in the knob's steps, though the slider itself can stand anywhere.
function snapped(input) {
  const { lo, hi, step } = props.value;
  const number = state.down ? lo + Math.round((Number(input.value) - lo) / step) * step : Number(input.value);
  return Number(Math.min(hi, Math.max(lo, number)).toFixed(6));
}

function shape(name, attributes, title) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (title) { const text = document.createElementNS(SVG, 'title'); text.textContent = title; made.append(text); }
  return made;
}

function build(value) {
  rowsHost.replaceChildren(...value.rows.map((row, at) => {
    const band = document.createElement('div');
    band.className = 'mf-band';
    const label = document.createElement('div');
    label.className = 'mf-band-label';
    label.innerHTML = '<b></b><small></small>';
    label.querySelector('b').textContent = row.name;
    label.querySelector('small').textContent = row.filter;
    const plot = document.createElement('div');
    plot.className = 'mf-band-plot';
    plot.append(shape('svg', { width: '100%', height: HEIGHT, 'aria-hidden': 'true' }));
    row.anchors.forEach((_, spot) => {
      const input = document.createElement('input');
      input.type = 'range';
      input.style.left = `calc(${THUMB / 2}px + ${spot / (row.anchors.length - 1)} * (100% - ${THUMB}px))`;
      input.addEventListener('input', () => { state.rows[at][spot] = snapped(input); name(input, row, spot); draw(); send(); });
      plot.append(input);
    });
    band.append(label, plot);
    return band;
  }));
}

function name(input, row, spot) {
  const place = `${Math.round((100 * spot) / (row.anchors.length - 1))} % of depth`;
  input.setAttribute('aria-label', `${props.value.knob}, ${row.name}, ${place}`);
  input.title = `${row.name}, ${place}: ${words(Number(input.value))}`;
}

// One move at a time is on its way; of those made meanwhile the last alone is sent, when the answer is there. Gradio's
// own "always_last" cannot do this: of an event that waited it repeats the data of the one just answered.
function send() {
  if (state.flying) state.waiting = true;
  else fly();
}

function fly() {
  state.waiting = false;
  state.flying += 1;
  trigger('bend', { rows: state.rows.map((row) => row.slice()) });
}

window.addEventListener('mf-bent', () => {
  state.flying = Math.max(0, state.flying - 1);
  if (!state.flying && state.waiting) fly();
  else rest();
});

// What is used next comes after the moves made so far, so the one that waits goes ahead of it.
for (const event of ['pointerdown', 'keydown', 'click']) {
  document.addEventListener(event, ({ target }) => { if (state.waiting && !rowsHost.contains(target)) fly(); }, true);
}

// Anchors under the visitor's hand are theirs: an answer to an older move must not pull them back.
const busy = () => state.down || state.flying > 0;
function rest() { if (!busy()) take(); }

function take() {
  const value = props.value;
  section.querySelector('.mf-says').textContent = value?.says ?? '';
  const usable = Boolean(value?.rows);
  for (const part of ['.mf-bands-rows', '.mf-bands-foot', '.mf-bands-outside', '.mf-numbers']) section.querySelector(part).hidden = !usable;
  if (!usable) { state.rows = []; return; }
  if (rowsHost.children.length !== value.rows.length || value.rows.some((row, at) => rowsHost.children[at].querySelectorAll('input').length !== row.anchors.length)) build(value);
  if (!busy() || state.knob !== value.knob) state.rows = value.rows.map((row) => row.anchors.slice());
  state.knob = value.knob;
  value.rows.forEach((row, at) => rowsHost.children[at].querySelectorAll('input').forEach((input, spot) => {
    [input.min, input.max, input.step] = [value.lo, value.hi, 'any'];
    input.value = state.rows[at][spot];
    name(input, row, spot);
  }));
  const same = new Map();
  for (const [what, number] of value.outside) same.set(words(number), [...(same.get(words(number)) ?? []), what]);
  section.querySelector('.mf-bands-outside').textContent = [...same].map(([number, whats]) => `${whats.join(', ')}: ${number}`).join(' · ');
  table(value);
  draw();
}

function draw() {
  const value = props.value;
  if (!value?.rows || !state.rows.length) return;
  value.rows.forEach((row, at) => {
    const svg = rowsHost.children[at].querySelector('svg');
    const width = svg.clientWidth || 240;
    const across = (part) => THUMB / 2 + part * (width - THUMB);
    const line = state.rows[at].map((number, spot) => `${across(spot / (row.anchors.length - 1))},${up(number)}`).join(' ');
    const dots = row.dots.map(([layer, number]) => shape('circle', { cx: across(value.layers > 1 ? layer / (value.layers - 1) : 1), cy: up(number), r: value.layers > 40 ? 1.6 : 2.4, class: 'mf-dotlayer' }, `layer ${layer}: ${words(number)}`));
    svg.replaceChildren(
      ...[value.lo, (value.lo + value.hi) / 2, value.hi].map((number) => shape('line', { x1: 0, x2: width, y1: up(number), y2: up(number), class: 'mf-bandgrid' })),
      shape('polyline', { points: line, class: 'mf-bandline' }), ...dots,
    );
  });
}

function table(value) {
  const head = ['layer', ...value.rows.map((row) => row.name)];
  const cells = (layer) => value.rows.map((row) => row.dots.filter((dot) => dot[0] === layer).map((dot) => words(dot[1])).join(', ') || '–');
  const line = (tag, texts) => `<tr>${texts.map((text, at) => (at ? `<${tag}>${text}</${tag}>` : `<th scope="${tag === 'th' ? 'col' : 'row'}">${text}</th>`)).join('')}</tr>`;
  const body = Array.from({ length: value.layers }, (_, layer) => line('td', [layer, ...cells(layer)])).join('');
  section.querySelector('table').innerHTML = `<thead>${line('th', head)}</thead><tbody>${body}</tbody>`;
}

rowsHost.addEventListener('pointerdown', () => { state.down = true; });
for (const event of ['pointerup', 'pointercancel']) window.addEventListener(event, () => { if (state.down) { state.down = false; rest(); } });
// "any" lets a slider stand where the recipe says; keys go in the knob's own steps.
rowsHost.addEventListener('keydown', (event) => {
  const way = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 4, PageDown: -4 }[event.key];
  if (!way || event.target.type !== 'range') return;
  event.preventDefault();
  const { lo, hi, step } = props.value;
  event.target.value = Math.min(hi, Math.max(lo, Number((Number(event.target.value) + way * step).toFixed(6))));
  event.target.dispatchEvent(new Event('input'));
});
watch('value', take);
new ResizeObserver(draw).observe(rowsHost);
take();
